"""Pronghorn and its peers under load, side by side on one machine.

Method. One server runs at a time, with one worker, pinned to one core; the load generator (wrk, or ws_load for
WebSocket) runs on another. The works are done one after the other; within a work every round visits every server once,
in rotated order: start, check that the answer is right, half a second of warm-up or more, then the measured seconds.
CPU per request is the user and system time of the whole process tree (/proc/PID/stat) over the measured run, divided
by the requests or messages that were completed: it does not depend on how fast the client is. A figure is the median
of the rounds, with the smallest and the largest beside it. A server that fails at a work is named and left out of it.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from . import idle, report, wrk, ws_idle, ws_load
from .environment import HERE, ROOT, Environment, say
from .process import Failure, Process, free_port
from .servers import SERVED, SERVERS, Server, revision
from .works import (
    EVERY,
    HELLO,
    IDLE,
    SESSION_WORKS,
    START,
    WORKS,
    WS_IDLE,
    WS_IDLE_DEFLATE,
    SessionWork,
    Work,
)

RESULTS = HERE.parent / "results"
Visit = Callable[[Server], report.Sample]


def arguments() -> argparse.Namespace:
    names = ",".join(server.name.replace(" ", "-") for server in SERVERS)
    parser = argparse.ArgumentParser(
        prog="bench/macro/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--servers", default=names, help=f"default: {names}")
    parser.add_argument("--works", default=",".join(EVERY), help=f"default: {','.join(EVERY)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="measured time of one visit (default 3)")
    parser.add_argument("--connections", type=int, default=5000, help="idle connections to hold (default 5000)")
    parser.add_argument("--sessions", type=int, default=2000, help="idle WebSocket sessions to hold (default 2000)")
    parser.add_argument("--python", default="/usr/bin/python3", help="interpreter of all servers")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--against", action="append", default=[], metavar="REVISION", help="also measure this commit")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument("--save", metavar="NAME", help="write bench/results/NAME.md and NAME.json")
    options = parser.parse_args()
    if unknown := set(options.works.split(",")) - set(EVERY):
        parser.error(f"no such work: {', '.join(sorted(unknown))}")
    if unknown := set(options.servers.split(",")) - set(names.split(",")):
        parser.error(f"no such server: {', '.join(sorted(unknown))}")
    for tool in ("wrk", "taskset", os.environ.get("CC", "cc")):
        if shutil.which(tool) is None:
            parser.error(f"{tool} is not installed")
    return options


class Bench:
    def __init__(self, options: argparse.Namespace, environment: Environment, servers: list[Server]) -> None:
        self.options = options
        self.environment = environment
        self.servers = servers
        self.results: report.Results = {}
        self.failures: list[str] = []

    def command(
        self, server: Server, app: str, port: int | str, sessions: bool = False, many: bool = False
    ) -> list[str]:
        places = {"bin": self.environment.bin, "python": self.environment.python, "build": self.environment.folder}
        extra = f"{server.websocket if sessions else server.http} {server.idle_options if many else ''}"
        return f"{server.command} {server.quiet} {extra}".format(app=app, port=port, **places).split()

    def start(self, server: Server, app: str, sessions: bool = False, many: bool = False) -> Process:
        port = free_port()
        log = Path(self.logs, "server.log")
        environment = {"PYTHONPATH": server.path} if server.path else {}
        command = self.command(server, app, port, sessions, many)
        quiet = server.quiet != server.logged
        return Process(command, port, self.options.server_core, HERE / SERVED, log, environment, quiet, server.secure)

    def run(self) -> None:
        wanted = self.options.works.split(",")
        os.sched_setaffinity(0, {self.options.client_core})
        with tempfile.TemporaryDirectory() as self.logs:
            for work in WORKS:
                if work.name in wanted:
                    self.rounds(work.name, partial(self.visit, work), work.floors, work=work)
            if START in wanted:
                self.rounds(START, self.visit_start, floors=True)
            if IDLE in wanted:
                self.rounds(IDLE, self.visit_idle, floors=True)
            for session_work in SESSION_WORKS:
                if session_work.name in wanted:
                    visit = partial(self.visit_sessions, session_work)
                    self.rounds(session_work.name, visit, floors=True, sessions=True)
            for name in (WS_IDLE, WS_IDLE_DEFLATE):
                if name in wanted:
                    visit = partial(self.visit_idle_sessions, name == WS_IDLE_DEFLATE)
                    self.rounds(name, visit, floors=False, sessions=True)

    def rounds(self, name: str, visit: Visit, floors: bool, sessions: bool = False, work: Work = HELLO) -> None:
        results: dict[str, list[report.Sample]] = {}
        able = [server for server in self.servers if (server.websocket if sessions else server.http) is not None]
        if work.logged:
            able = with_logs(able)
        if work.secure:
            able = over_tls(able)
        present = [server for server in able if floors or not server.floor]
        for number in range(self.options.rounds):
            turn = number % len(present) if present else 0
            for server in present[turn:] + present[:turn]:
                try:
                    sample = visit(server)
                except (Failure, OSError) as error:
                    self.failures.append(f"{name}: {server.name}: {str(error).replace(str(ROOT), '.')}")
                    say(f"{name}: {server.name} is left out: {error}")
                    present = [other for other in present if other is not server]
                    results.pop(server.name, None)
                    continue
                results.setdefault(server.name, []).append(sample)
                shown = ", ".join(f"{key} {value:,.6g}" for key, value in sample.items() if value is not None)
                say(f"{name} {number + 1}/{self.options.rounds} {server.name}: {shown}")
        self.results[name] = results

    def visit(self, work: Work, server: Server) -> report.Sample:
        with self.start(server, work.app) as process:
            status, body = process.ask("POST" if work.body else "GET", work.body)
            if (status, body) != (200, work.answer):
                raise Failure(f"answers {status} with {len(body)} bytes, not 200 with {len(work.answer)}")
            wrk.run(work, process.port, self.options.client_core, 1)
            user, system = process.cpu()
            load = wrk.run(work, process.port, self.options.client_core, self.options.seconds)
            user, system = (after - before for after, before in zip(process.cpu(), (user, system), strict=True))
            each = 1e6 / load.requests
            return {
                "rps": load.requests / load.seconds,
                "cpu": (user + system) * each,
                "user": user * each,
                "system": system * each,
                "p50": load.p50,
                "p99": load.p99,
                "peak": process.peak(),
                "errors": load.errors,
            }

    def visit_sessions(self, work: SessionWork, server: Server) -> report.Sample:
        options = self.options
        with self.start(server, work.app, sessions=True, many=work.sessions >= 1000) as process:
            generator = self.environment.folder / "ws_load"
            load = ws_load.run(generator, work, process, options.client_core, options.seconds)
            each = 1e6 / load.messages
            return {
                "rps": load.messages / load.seconds,
                "cpu": (load.user + load.system) * each,
                "user": load.user * each,
                "system": load.system * each,
                "client": load.client * each,
                "p50": load.p50,
                "p99": load.p99,
                "peak": process.peak(),
                "errors": load.errors,
            }

    def visit_start(self, server: Server) -> report.Sample:
        with self.start(server, HELLO.app) as process:
            return {"seconds": process.first_answer}

    def visit_idle(self, server: Server) -> report.Sample:
        with self.start(server, HELLO.app, many=True) as process:
            return {"bytes": idle.bytes_per_connection(process, self.options.connections)}

    def visit_idle_sessions(self, deflate: bool, server: Server) -> report.Sample:
        with self.start(server, SESSION_WORKS[0].app, sessions=True, many=True) as process:
            return {"bytes": ws_idle.bytes_per_session(process, self.options.sessions, deflate)}

    def settings(self) -> dict[str, str]:
        """The command lines, without the folders of this machine."""
        found: dict[str, str] = {}
        named = [(server, server.name) for server in self.servers]
        if any(work.logged and work.name in self.results for work in WORKS):
            named += [(server, f"{server.name}, access log") for server in with_logs(self.servers)]
        if any(work.secure and work.name in self.results for work in WORKS):
            named += [(server, f"{server.name}, TLS") for server in over_tls(self.servers)]
        for server, name in named:
            for sessions, added in enumerate((server.http, server.websocket)):
                if added is not None:
                    command = " ".join(self.command(server, "APP", "PORT", bool(sessions)))
                    command = command.replace(f"{self.environment.bin}/", "")
                    command = command.replace(f"{self.environment.folder}/", "")
                    if command not in found.values():
                        found[f"{name}, WebSocket" if sessions else name] = command
        return found


def with_logs(servers: list[Server]) -> list[Server]:
    """Those that have an access log, with it."""
    return [replace(server, quiet=server.logged) for server in servers if server.logged is not None]


def over_tls(servers: list[Server]) -> list[Server]:
    """Those that speak TLS, doing so."""
    return [
        replace(server, command=f"{server.command} {server.tls}", secure=True)
        for server in servers
        if server.tls is not None
    ]


def machine() -> dict[str, str]:
    models = [
        line.partition(": ")[2]
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "machine": f"{os.cpu_count()} x {models[0] if models else platform.machine()}",
        "kernel": platform.release(),
    }


def main() -> None:
    options = arguments()
    limit = idle.raise_file_limit()
    options.connections = min(options.connections, limit - idle.FIRST - 200)
    environment = Environment(options.python)
    environment.prepare()

    names = options.servers.split(",")
    servers = [server for server in SERVERS if server.name.replace(" ", "-") in names]
    described = failure = None
    if "pronghorn" in names:
        try:
            described = environment.install_tree()
        except RuntimeError as error:
            failure = f"pronghorn: {error}"
            servers = [server for server in servers if server.name != "pronghorn"]
    for name in reversed(options.against):
        commit, folder = environment.install_revision(name)
        servers.insert(1, revision(f"pronghorn@{commit}", str(folder)))
    versions = environment.installed()
    missing = [
        server for server in servers if server.package and server.package.lower() not in {v.lower() for v in versions}
    ]
    servers = [server for server in servers if server not in missing]

    bench = Bench(options, environment, servers)
    bench.failures += [failure] if failure else []
    bench.failures += [
        environment.failures.get(s.package, f"{s.name}: not installed") for s in missing if s.name != "pronghorn"
    ]
    load_before, began = os.getloadavg()[0], time.monotonic()
    bench.run()

    versions = {name.lower(): version for name, version in versions.items()}
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **machine(),
        "python": environment.description,
        "pronghorn": described or "not measured",
        "peers": ", ".join(
            f"{s.name} {versions[s.package.lower()]}" for s in servers if s.package and s.name != "pronghorn"
        ),
        "uvloop, httptools, starlette, websockets": ", ".join(
            versions.get(name, "-") for name in ("uvloop", "httptools", "starlette", "websockets")
        ),
        "method": f"{options.rounds} interleaved rounds of {options.seconds} s, server on core {options.server_core}, "
        f"client on core {options.client_core}; median (smallest-largest); {options.connections} idle connections, "
        f"{options.sessions} idle sessions",
        "other load": f"load average {load_before:.2f} before the first round",
        "duration": f"{(time.monotonic() - began) / 60:.0f} minutes",
    }
    settings = bench.settings()
    text = report.document(facts, settings, bench.failures, bench.results)
    print(text)
    data = {"facts": facts, "settings": settings, "failures": bench.failures, "results": bench.results}
    if options.save:
        RESULTS.mkdir(exist_ok=True)
    for target in [options.json, RESULTS / f"{options.save}.json" if options.save else None]:
        if target:
            target.write_text(json.dumps(data, indent=1) + "\n")
    if options.save:
        (RESULTS / f"{options.save}.md").write_text(text)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
