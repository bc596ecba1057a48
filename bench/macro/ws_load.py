"""One run of ws_load, on its own core, with the processor time of the server over exactly what was measured."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .process import Failure, Process
from .works import SessionWork

WARM_UP = 1.0  # seconds
PATIENCE = 60.0  # seconds on top of what was asked for


@dataclass(frozen=True)
class Load:
    messages: int
    seconds: float
    p50: float  # microseconds: a message; of ws-pipelined a batch; of a broadcast until the last session has it
    p99: float
    errors: int
    client: float  # processor seconds of the generator
    user: float  # ... and of the server
    system: float


def run(generator: Path, work: SessionWork, server: Process, core: int, seconds: int) -> Load:
    command = ["taskset", "--cpu-list", str(core), str(generator), str(server.port), work.kind]
    command += [str(value) for value in (work.sessions, work.depth, work.size, work.opcode, WARM_UP, seconds)]
    pipe = subprocess.PIPE
    # The limit holds whatever the server does; timeout(1) ends with the generator.
    limited = ["timeout", str(seconds + PATIENCE), *command]
    with subprocess.Popen(limited, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin and process.stdout and process.stderr
        try:
            ready = process.stdout.readline()  # nothing is in flight until it is told to go on
            user, system = server.cpu()
            if ready:
                process.stdin.write("go\n")
                process.stdin.flush()
            line = process.stdout.readline()
            user, system = (after - before for after, before in zip(server.cpu(), (user, system), strict=True))
        finally:
            process.terminate()
        if not line:
            raise Failure(f"ws_load: {process.stderr.read().strip() or 'it did not end in time'}")
    values = json.loads(line)
    return Load(
        values["messages"],
        values["seconds"],
        values["p50"],
        values["p99"],
        values["errors"],
        values["cpu"],
        user,
        system,
    )
