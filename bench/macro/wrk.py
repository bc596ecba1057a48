"""One run of wrk, on its own core."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .process import Failure
from .works import Work

CLIENT = Path(__file__).with_name("client.lua")


@dataclass(frozen=True)
class Load:
    requests: int
    seconds: float
    p50: float | None  # microseconds; with pipelining wrk's percentiles mean nothing
    p99: float | None
    errors: int


def run(work: Work, port: int, core: int | str, seconds: int) -> Load:
    command = ["taskset", "--cpu-list", str(core), "wrk", "--threads", "1", "--connections", str(work.connections)]
    command += ["--duration", f"{seconds}s", "--timeout", "5s", "--script", str(CLIENT)]
    command += [f"{'https' if work.secure else 'http'}://127.0.0.1:{port}/", "--", work.name]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 15)
    except subprocess.TimeoutExpired:
        raise Failure(f"wrk did not end within {seconds + 15} s") from None
    if result.returncode or not result.stdout:
        raise Failure(f"wrk: {result.stderr.strip() or result.returncode}")
    values = json.loads(result.stdout.splitlines()[-1])
    if not values["requests"]:
        raise Failure(f"no request completed, {values['errors']} errors")
    percentiles = (values["p50"], values["p99"]) if work.depth == 1 else (None, None)
    return Load(values["requests"], values["seconds"], *percentiles, values["errors"])
