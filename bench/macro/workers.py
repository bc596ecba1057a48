"""One worker against two on the same two cores, with the load generator on them as well.

It is not what `bench/macro/run` measures: there the client has a core of its own, here it competes with the server, and
what it takes is reported. So twice the answers cannot come out of this on two cores.
"""

import argparse
import resource
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import wrk
from .environment import Environment, say
from .process import Process, free_port
from .report import table
from .servers import QUIET, SERVED
from .works import WORKS, Work

CORES = "0,1"
COUNTS = (1, 2)


def client_time() -> float:
    """Seconds of processor time of the load generators so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(environment: Environment, work: Work, workers: int, seconds: int) -> tuple[float, float, float, float]:
    """Answers a second; cores of the server, and of the client, that were busy; microseconds of the server's each."""
    port = free_port()
    command = [str(environment.bin / "pronghorn"), work.app, "--port", str(port), *QUIET.split()]
    with (
        tempfile.NamedTemporaryFile() as log,
        Process(
            [*command, "--workers", str(workers)], port, CORES, Path(__file__).with_name(SERVED), Path(log.name), {}
        ) as server,
    ):
        wrk.run(work, port, CORES, 1)
        client, before = client_time(), sum(server.cpu())
        load = wrk.run(work, port, CORES, seconds)
        busy, client = sum(server.cpu()) - before, client_time() - client
        return load.requests / load.seconds, busy / load.seconds, client / load.seconds, busy / load.requests * 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench/macro/workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--python", default="/usr/bin/python3")
    options = parser.parse_args(arguments)
    environment = Environment(options.python)
    environment.prepare()
    say(environment.install_tree())
    rows = []
    for work in (one for one in WORKS if one.name in ("hello", "json", "closing")):
        samples: dict[int, list[tuple[float, float, float, float]]] = {count: [] for count in COUNTS}
        for round_ in range(options.rounds):
            for count in COUNTS if round_ % 2 else reversed(COUNTS):
                samples[count].append(measure(environment, work, count, options.seconds))
                say(f"{work.name} {round_ + 1}/{options.rounds} {count}: {samples[count][-1]}")
        for count in COUNTS:
            rates, busy, client, each = (statistics.median(column) for column in zip(*samples[count], strict=True))
            rows.append([work.name, str(count), f"{rates:,.0f}", f"{busy:.2f}", f"{client:.2f}", f"{each:.1f}"])
    head = ["work", "workers", "answers/s", "server's cores", "client's cores", "server's CPU us/request"]
    sys.stdout.write(table(head, rows) + "\n")


if __name__ == "__main__":
    main()
