"""The command line: its options are the settings, its errors are one line."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
from collections.abc import Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any, NoReturn

import click

import pronghorn
from pronghorn.config import Config
from pronghorn.errors import ConfigError
from pronghorn.forms import Flag, Form
from pronghorn.running import run_until_stopped
from pronghorn.server import Server
from pronghorn.settings import SUBJECTS, default_text, table

__all__ = ["main"]

USAGE_ERROR = 2
INTERRUPTED = 130
EXIT_LIMIT = 10.0  # seconds for the interpreter to end after the server has; a thread of the application may never


class Value(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.3
    """An option's value, checked by the form of its setting."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.name = form.metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value to keep, or one line that names the accepted form."""
        if not isinstance(value, str):
            return value
        try:
            return self.form.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SubjectOption(click.Option):
    """An option that knows under which heading of the help it belongs."""

    def __init__(self, *args: Any, subject: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject = subject


class Command(click.Command):
    """A command whose help is grouped by subject, and whose errors are one line."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each subject."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(getattr(param, "subject", "Other"), []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records, col_max=36)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command and exit, or, without ``standalone_mode``, return and raise as click does."""
        program = prog_name or Path(sys.argv[0]).name
        try:
            code = super().main(args, program, complete_var, False, **extra)
        except click.Abort:
            if not standalone_mode:
                raise
            sys.exit(INTERRUPTED)
        except click.ClickException as error:
            if not standalone_mode:
                raise
            fail(program, f"{error.format_message()} ({program} --help lists the options)")
        except ConfigError as error:
            if not standalone_mode:
                raise
            fail(program, str(error))
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def fail(program: str, text: str) -> NoReturn:
    click.echo(f"{program}: error: {' '.join(text.split())}", err=True)
    sys.exit(USAGE_ERROR)


def option(setting: Field[Any]) -> click.Option:
    """The option of one setting: ``timeout_keep_alive`` is ``--timeout-keep-alive``."""
    form: Form = setting.metadata["form"]
    flag = form.option or "--" + setting.name.replace("_", "-")
    more: dict[str, Any] = {"type": Value(form), "metavar": form.metavar}
    text = f"{setting.metadata['meaning']}  [{default_text(setting)}]"
    if form.repeated:
        more["multiple"] = True
    elif isinstance(form, Flag) and setting.default is False:
        more, text = {"is_flag": True}, setting.metadata["meaning"]
    elif isinstance(form, Flag):
        flag, more = f"{flag}/--no-{flag[2:]}", {"is_flag": True}
    return SubjectOption(
        [flag, setting.name], subject=setting.metadata["subject"], default=None, show_default=False, help=text, **more
    )


def print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        import platform  # slow to import, and of use here only

        python = f"{platform.python_implementation()} {platform.python_version()}"
        click.echo(f"Running pronghorn {pronghorn.__version__} with {python} on {platform.system()}")
        ctx.exit()


def parameters() -> list[click.Parameter]:
    folder = click.Path(exists=True, file_okay=False)
    app_dir = SubjectOption(
        ["--app-dir"],
        subject="Application",
        type=folder,
        default=".",
        show_default=False,
        help="Directory in which to look for APP's module.  [the current one]",
    )
    version = click.Option(
        ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=print_version, help="Show the version."
    )
    options = [app_dir, *(option(setting) for setting in table() if setting.metadata["form"].option != "-")]
    options.sort(key=lambda entry: SUBJECTS.index(getattr(entry, "subject", "")))
    return [click.Argument(["app"], metavar="APP"), *options, version]


def serve(**values: Any) -> None:
    """Serve the ASGI application APP, which is MODULE:ATTRIBUTE, as in main:app."""
    open_standard_descriptors()
    source = click.get_current_context().get_parameter_source
    app, app_dir = values.pop("app"), values.pop("app_dir")
    sys.path.insert(0, str(Path(app_dir).absolute()))
    given = {name: value for name, value in values.items() if source(name) is not click.core.ParameterSource.DEFAULT}
    server = Server(Config(app, **given))
    server.when_finished = exit_soon
    run_until_stopped(server)


def open_standard_descriptors() -> None:
    """Put the null device where a parent closed 0, 1 or 2: a loop's own descriptor must not become one of them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def exit_soon() -> None:
    """See to it that the process ends: past the limit, show where each thread is and exit all the same."""
    with contextlib.suppress(ValueError, OSError, AttributeError):  # standard error may have no file behind it
        faulthandler.dump_traceback_later(EXIT_LIMIT, exit=True)


main = Command(
    "pronghorn",
    callback=serve,
    params=parameters(),
    help=serve.__doc__,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
