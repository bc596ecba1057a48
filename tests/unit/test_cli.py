"""pronghorn.cli: options, help and error lines; what happens then is in tests/process."""

import platform
from pathlib import Path

import click
import pytest

import pronghorn
from pronghorn.cli import main, option
from pronghorn.settings import SUBJECTS, table

PROMISED = {
    "--host", "--port", "--uds", "--fd", "--backlog", "--root-path", "--lifespan", "--loop", "--task", "--log-level",
    "--access-log", "--no-access-log", "--use-colors", "--no-use-colors", "--server-header", "--no-server-header",
    "--date-header", "--no-date-header", "--header", "--timeout-keep-alive", "--timeout-graceful-shutdown",
    "--limit-concurrency", "--limit-max-requests", "--factory", "--app-dir", "--version", "--help",
}  # fmt: skip


def outcome(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    with pytest.raises(SystemExit) as exit:
        main(list(args), prog_name="pronghorn")
    out, err = capsys.readouterr()
    assert isinstance(exit.value.code, int)
    return exit.value.code, out, err


def test_every_promised_option_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys, "--help")
    assert (code, err) == (0, "")
    words = set(out.replace(",", " ").split())
    assert words >= PROMISED


def test_every_setting_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    words = set(outcome(capsys, "--help")[1].split())
    for setting in table():
        if setting.form.option == "-":
            assert "--" + setting.name.replace("_", "-") not in words
        else:
            assert set(option(setting).opts) <= words


def test_help_is_grouped_by_subject(capsys: pytest.CaptureFixture[str]) -> None:
    out = outcome(capsys, "--help")[1]
    headings = [line.rstrip(":") for line in out.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == [*SUBJECTS, "Other"]
    assert {setting.subject for setting in table()} == set(SUBJECTS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys, "--version")
    assert (code, err) == (0, "")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    assert out == f"Running pronghorn {pronghorn.__version__} with {python} on {platform.system()}\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "Missing argument 'APP'"),
        (["--port", "http", "a:b"], "'--port': expected a port from 0 to 65535, got 'http'"),
        (["--port", "65536", "a:b"], "'--port': expected a port from 0 to 65535, got '65536'"),
        (["--port"], "'--port' requires an argument"),
        (["--lifespan", "maybe", "a:b"], "'--lifespan': expected one of auto, on, off, got 'maybe'"),
        (["--timeout-keep-alive", "-1", "a:b"], "'--timeout-keep-alive': expected seconds from 0, got '-1'"),
        (["--header", "nonsense", "a:b"], "'--header': expected Name:Value, got 'nonsense'"),
        (["--header", "a: b\nc: d", "a:b"], "'--header': header value"),
        (["--log-level", "loud", "a:b"], "'--log-level': expected one of critical"),
        (["--app-dir", "/no/such/directory", "a:b"], "'--app-dir': expected a directory that exists, got '/no/such/directory'"),
        (["--log-config", "/no/such/file.json", "a:b"], "log_config: '/no/such/file.json' cannot be used"),
        (["--loop", "nowhere:loop", "a:b"], "loop: cannot import 'nowhere:loop'"),
        (["--nonsense", "a:b"], "No such option"),
        (["a:b", "c:d"], "unexpected extra argument"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    args: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [])
    code, out, err = outcome(capsys, *args)
    assert (code, out) == (2, "")
    assert err.startswith("pronghorn: error: ")
    assert words in err
    assert err.count("\n") == 1


def test_without_standalone_mode_errors_are_raised(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError):
        main.main([], standalone_mode=False)


def test_a_setting_named_as_header_is_repeatable() -> None:
    [headers] = [option(setting) for setting in table() if setting.name == "headers"]
    assert headers.multiple
    assert headers.opts == ["--header"]


def test_flags_that_are_on_can_be_switched_off() -> None:
    secondary = {setting.name: option(setting).secondary_opts for setting in table()}
    assert secondary["access_log"] == ["--no-access-log"]
    assert secondary["factory"] == []
