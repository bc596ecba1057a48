"""journal: one line of the access log."""

import pytest
from given import FIELDS, TIMES

from pronghorn._core.journal import Lines
from pronghorn.atoms import FORMATS, compile_format, is_json

HEADERS = [(name.lower(), value) for name, value in FIELDS.items()]


@pytest.mark.parametrize("name", FORMATS)
def test_line(benchmark, probe, name):
    taken = []
    lines = Lines(compile_format(name), lambda: None, lambda: taken.append(len(lines.take())), json=is_json(name))
    benchmark(probe.journal_lines, lines, HEADERS, TIMES)
    assert sum(taken) > 30 * TIMES
