"""The command line: its options are the settings, its errors are one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Iterator, Sequence
from typing import Any, NoReturn

import click

import pronghorn
from pronghorn import sources
from pronghorn.config import Config
from pronghorn.errors import STARTUP_FAILURE, ConfigError
from pronghorn.forking import EXIT_LIMIT
from pronghorn.forms import Flag, Folder, Form
from pronghorn.running import open_standard_descriptors, run_until_stopped
from pronghorn.server import Server
from pronghorn.settings import PLACE, SUBJECTS, default_text, table
from pronghorn.signals import end_within
from pronghorn.subjects import AUTO, Setting

__all__ = ["main"]

USAGE_ERROR = 2
INTERRUPTED = 130


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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Make the options, and parse with them what is left of the command line."""
        self.params = parameters(None if ctx.resilient_parsing else named(args))
        return super().parse_args(ctx, args)

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
        program = prog_name or os.path.basename(sys.argv[0])
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


def flag_of(setting: Setting) -> str:
    """The option of a setting: ``timeout_keep_alive`` is ``--timeout-keep-alive``."""
    form = setting.form
    flag = form.option or "--" + setting.name.replace("_", "-")
    return flag.removesuffix("s") if form.repeated else flag


def option(setting: Setting) -> click.Option:
    form = setting.form
    flag = flag_of(setting)
    more: dict[str, Any] = {"type": Value(form), "metavar": form.metavar}
    text = f"{setting.meaning}  [{default_text(setting)}]"
    if form.repeated:
        more["multiple"] = True
    elif type(form) is Flag and setting.default is False:
        more, text = {"is_flag": True}, setting.meaning
    elif type(form) is Flag:
        flag, more = f"{flag}/--no-{flag[2:]}", {"is_flag": True}
    return SubjectOption(
        [flag, setting.name], subject=setting.subject, default=None, show_default=False, help=text, **more
    )


def print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        import platform  # slow to import, and of use here only

        python = f"{platform.python_implementation()} {platform.python_version()}"
        click.echo(f"Running pronghorn {pronghorn.__version__} with {python} on {platform.system()}")
        ctx.exit()


OWN = ("--app-dir", "--config", "--print-config", "--check", "--version")  # those that are no settings


def named(args: Sequence[str]) -> frozenset[str] | None:
    """The options that a command line names; None when one may be in it that does not exist, or that asks for help."""
    found = {arg.partition("=")[0].replace("--no-", "--") for arg in args if arg.startswith("-")}
    return frozenset(found) if found.issubset([*map(flag_of, table()), *OWN]) else None


def parameters(wanted: Container[str] | None = None) -> list[click.Parameter]:
    """The argument and the options; with ``wanted`` of the settings those only: most starts need one or two of 130."""

    def more(flag: str, subject: str, text: str, **how: Any) -> click.Option:
        return SubjectOption([flag], subject=subject, default=None, show_default=False, help=text, **how)

    folder = Folder()
    options = [
        more(
            "--app-dir", "Application", "Directory in which to look for APP's module.  [the current one]",
            type=Value(folder), metavar=folder.metavar,
        ),
        more("--config", "Configuration", "TOML file with settings, or a pyproject.toml with [tool.pronghorn].",
             metavar="FILE"),
        more("--print-config", "Configuration", "Write the settings and where they come from, and exit.", is_flag=True),
        more("--check", "Configuration", "Load the application, without serving it, and exit.", is_flag=True),
        *(
            option(setting)
            for setting in table()
            if setting.form.option != "-" and (wanted is None or flag_of(setting) in wanted)
        ),
    ]  # fmt: skip
    options.sort(key=lambda entry: SUBJECTS.index(getattr(entry, "subject", "")))
    version = click.Option(
        ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=print_version, help="Show the version."
    )
    return [click.Argument(["app"], metavar="APP", required=False), *options, version]


def serve(config: str | None, print_config: bool | None, check: bool | None, **values: Any) -> None:
    """Serve the ASGI application APP, which is MODULE:ATTRIBUTE, as in main:app.

    Each option may also be set in a file (--config) and as an environment variable: --root-path is PRONGHORN_ROOT_PATH.
    """
    open_standard_descriptors()
    source = click.get_current_context().get_parameter_source
    typed = {name: value for name, value in values.items() if source(name) is not click.core.ParameterSource.DEFAULT}
    given = sources.collect(typed, os.environ, config)
    named = {name: entry.value for name, entry in given.items()}
    app, app_dir = named.pop("app", None), named.pop("app_dir", ".")
    if app is None and not print_config:
        raise click.UsageError("Missing argument 'APP', which is MODULE:ATTRIBUTE, as in main:app.")
    sys.path.insert(0, os.path.abspath(app_dir))
    server = Server(Config(app, **named))
    if print_config:
        for line in describe(server.config, app_dir, given):
            click.echo(line)
    elif check:
        if not server.check():
            sys.exit(STARTUP_FAILURE if server.failure else INTERRUPTED)
        click.echo(f"{app} can be served")
    else:
        server.when_finished = exit_soon
        run_until_stopped(server)


def describe(config: Config, app_dir: str, given: dict[str, sources.Given]) -> Iterator[str]:
    """The effective settings as lines of TOML, which ``--config`` takes, each with where it comes from."""
    from pronghorn import toml  # slow to import, as is what it needs

    forms = sources.known()
    yield f"# pronghorn {pronghorn.__version__}"
    for name, usual in {"app": None, "app_dir": "."}.items():
        yield toml.line(name, given[name].value if name in given else usual, origin(name, given))
    for setting in table():
        name, value = setting.name, getattr(config, setting.name)
        if name not in forms:
            continue
        if name.endswith("password") and value is not None:
            yield f"# {name} is set and not shown ({origin(name, given)})"
        elif name == "log_config" and name not in given:
            yield f"# {name} is built in ({origin(name, given)})"
        elif name in PLACE and config.bind:
            yield f"# {name} is not used (bind is)"
        else:
            whence = origin(name, given, setting, value)
            here = f", {config.processes} here" if (name, value) == ("workers", AUTO) else ""
            yield toml.line(name, forms[name].plain(value), whence + here)


def origin(name: str, given: dict[str, sources.Given], setting: Setting | None = None, value: object = None) -> str:
    """Where a value comes from."""
    if name in given:
        return given[name].origin
    if setting is None or callable(setting.default) or setting.default == value:
        return "default"
    if setting.variable:
        return setting.variable if os.environ.get(setting.variable) or value != setting.otherwise else "default"
    return "follows from others"


def exit_soon() -> None:
    """See to it that the process ends: past the limit, show where each thread is and exit all the same."""
    end_within(EXIT_LIMIT)


main = Command(
    "pronghorn",
    callback=serve,
    help=serve.__doc__,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
