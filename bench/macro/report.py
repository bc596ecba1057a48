"""Samples to tables. A figure is the median of its rounds, with the smallest and the largest beside it."""

from statistics import median

from .bars import BARS, Bar
from .servers import SERVERS
from .works import COUNTED, IDLE, START, WS_IDLE, WS_IDLE_DEFLATE

Sample = dict[str, float | None]
Results = dict[str, dict[str, list[Sample]]]  # work -> server -> one sample for each round

UNITS = {"request": "requests", "message": "messages", "delivery": "deliveries"}

# column title, key of the sample, factor, digits; a column that has no sample is left out
COLUMNS = [
    ("{units}/s", "rps", 1, 0),
    ("CPU us/{unit}", "cpu", 1, 2),
    ("user", "user", 1, 2),
    ("system", "system", 1, 2),
    ("client's CPU", "client", 1, 2),
    ("p50 us", "p50", 1, 0),
    ("p99 us", "p99", 1, 0),
    ("peak MiB", "peak", 1 / 2**20, 1),
    ("errors", "errors", 1, 0),
]
IDLE_TITLES = {
    IDLE: "Idle keep-alive connections",
    WS_IDLE: "Idle WebSocket sessions",
    WS_IDLE_DEFLATE: "Idle WebSocket sessions with permessage-deflate",
}
FLOORS = {server.name for server in SERVERS if server.floor}


def values(samples: list[Sample], key: str) -> list[float]:
    return [value for sample in samples if (value := sample.get(key)) is not None]


def figure(samples: list[Sample], key: str, factor: float, digits: int) -> str:
    found = [value * factor for value in values(samples, key)]
    if not found:
        return "-"
    middle = f"{median(found):,.{digits}f}"
    if len(found) == 1 or min(found) == max(found):
        return middle
    return f"{middle} ({min(found):,.{digits}f}-{max(found):,.{digits}f})"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table that is also aligned as plain text."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in [head, *rows]
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def work_table(results: dict[str, list[Sample]], unit: str) -> str:
    order = sorted(results, key=lambda name: median(values(results[name], "cpu")))
    columns = [column for column in COLUMNS if any(column[1] in sample for sample in results[order[0]])]
    rows = [[name, *(figure(results[name], *column[1:]) for column in columns)] for name in order]
    return table(["server", *(column[0].format(unit=unit, units=UNITS[unit]) for column in columns)], rows)


def single_table(results: dict[str, list[Sample]], title: str, key: str, factor: float, digits: int) -> str:
    order = sorted(results, key=lambda name: median(values(results[name], key)))
    return table(["server", title], [[name, figure(results[name], key, factor, digits)] for name in order])


def peer_of(bar: Bar, results: dict[str, list[Sample]]) -> str | None:
    """The server a bar compares with, when it was measured."""
    if bar.against != "best peer":
        return bar.against if bar.against in results else None
    peers = [name for name in results if name not in FLOORS and not name.startswith("pronghorn")]
    best = max if bar.at_least else min
    return best(peers, key=lambda name: median(values(results[name], bar.metric)), default=None)


def bars_table(results: Results, subject: str = "pronghorn") -> str:
    rows = []
    counted = {work.name: work.unit for work in COUNTED}
    for bar in BARS:
        measured = results.get(bar.work, {})
        if subject not in measured:
            continue
        reached = median(values(measured[subject], bar.metric))
        against = bar.against
        if bar.against:
            peer = peer_of(bar, measured)
            if peer is None:
                continue
            against = peer if peer == bar.against else f"{bar.against} ({peer})"
            reached /= median(values(measured[peer], bar.metric))
        met = reached >= bar.limit if bar.at_least else reached <= bar.limit
        sign = ">=" if bar.at_least else "<="
        each = counted.get(bar.work, "")
        unit = {"cpu": f"CPU/{each}", "rps": f"{UNITS.get(each)}/s", "bytes": "bytes", "seconds": "time"}[bar.metric]
        wanted = f"{sign} {bar.limit:,g}" + (f" x {against}" if against else "")
        shown = f"{reached:,.0f}" if not against else f"{reached:.3f}" if not bar.at_least else f"{reached:.2f}"
        rows.append([bar.work, unit, wanted, shown, "met" if met else "NOT met"])
    return table(["work", "figure", "bar", subject, ""], rows) if rows else ""


def document(facts: dict[str, str], settings: dict[str, str], failures: list[str], results: Results) -> str:
    """The whole report, in Markdown."""
    parts = ["# Macro benchmark", table(["", ""], [[key, value] for key, value in facts.items()])]
    for work in COUNTED:
        if results.get(work.name):
            parts += [f"## {work.title}", work_table(results[work.name], work.unit)]
    if results.get(START):
        parts += ["## Start-up", single_table(results[START], "ms from start to first answer", "seconds", 1000, 0)]
    for name, title in IDLE_TITLES.items():
        if results.get(name):
            parts += [f"## {title}", single_table(results[name], "bytes each", "bytes", 1, 0)]
    if bars := bars_table(results):
        parts += ["## Bars", bars]
    if failures:
        parts += ["## Left out", "\n".join(f"- {failure}" for failure in failures)]
    parts += [
        "## Settings",
        table(["server", "command"], [[name, f"`{command}`"] for name, command in settings.items()]),
    ]
    return "\n\n".join(parts) + "\n"
