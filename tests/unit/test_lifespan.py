"""pronghorn.lifespan: everything that can happen between an application's start and its end."""

import asyncio
import contextvars
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pronghorn import lifespan
from pronghorn.config import Config
from pronghorn.errors import MessageError, StartupError
from pronghorn.lifespan import Lifespan

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever other tests left of the logging configuration, caplog hears the server; and nothing takes a second."""
    monkeypatch.setattr(lifespan, "END_WITHIN", 0.02)
    logging.getLogger("pronghorn").propagate = True
    caplog.set_level(logging.DEBUG, "pronghorn.error")
    logging.getLogger("pronghorn.error").setLevel(logging.DEBUG)


def make(app: Application, **settings: Any) -> Lifespan:
    config = Config(app, log_config=None, **settings)
    config.load()
    return Lifespan(config)


def run(app: Application, then: Callable[[Lifespan], Awaitable[None]] | None = None, **settings: Any) -> Lifespan:
    """Start an application, do something, and stop it."""

    async def main() -> Lifespan:
        made = make(app, **settings)
        await made.startup(asyncio.Event())
        if then is not None:
            await then(made)
        await made.shutdown(asyncio.Event())
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return made

    return asyncio.run(main())


async def polite(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """What a well-behaved application does."""
    assert (await receive())["type"] == "lifespan.startup"
    scope["state"]["started"] = True
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    scope["state"]["stopped"] = True
    await send({"type": "lifespan.shutdown.complete"})


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "pronghorn.error"]


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_start_and_stop(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    made = run(polite, lifespan=mode)
    assert made.state == {"started": True, "stopped": True}
    assert messages(caplog) == [
        "Waiting for application startup.",
        "Application startup complete.",
        "Waiting for application shutdown.",
        "Application shutdown complete.",
    ]


def test_the_scope() -> None:
    seen: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope)
        await polite(scope, receive, send)

    made = run(app)
    assert seen == [
        {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {"started": True, "stopped": True}}
    ]  # fmt: skip
    assert seen[0]["state"] is made.state


def test_off_never_calls_the_application(caplog: pytest.LogCaptureFixture) -> None:
    async def app(*_: object) -> None:
        raise AssertionError("called")

    run(app, lifespan="off")
    assert messages(caplog) == []


def test_auto_goes_on_without_an_application_that_refuses_the_scope(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"

    run(app)
    assert messages(caplog) == [
        "Waiting for application startup.",
        "ASGI 'lifespan' protocol appears unsupported.",
        "Application startup complete.",
    ]
    assert all(record.levelno == logging.INFO for record in caplog.records)


def test_auto_goes_on_without_an_application_that_returns(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        return

    run(app)
    assert "ASGI 'lifespan' protocol appears unsupported." in messages(caplog)


def test_auto_goes_on_without_an_application_that_is_no_asgi_3(caplog: pytest.LogCaptureFixture) -> None:
    def app(scope: dict[str, Any]) -> None: ...

    run(app)  # type: ignore[arg-type]
    assert "ASGI 'lifespan' protocol appears unsupported." in messages(caplog)


async def fails_at_its_start(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()
    raise LookupError("no database")


def test_auto_shows_what_went_wrong_in_an_application_that_took_the_message(caplog: pytest.LogCaptureFixture) -> None:
    run(fails_at_its_start)
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.exc_info and isinstance(warning.exc_info[1], LookupError)


def test_on_fails_with_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StartupError, match=r"^Application startup failed. Exiting\.$"):
        run(fails_at_its_start, lifespan="on")
    [error] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert error.exc_info and isinstance(error.exc_info[1], LookupError)


def test_on_fails_when_the_application_returns() -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()

    with pytest.raises(StartupError, match=r"returned without 'lifespan\.startup\.complete'"):
        run(app, lifespan="on")


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_startup_failed_logs_its_message_once(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise LookupError("no database")  # as Starlette does

    with pytest.raises(StartupError, match="failed"):
        run(app, lifespan=mode)
    assert messages(caplog) == ["Waiting for application startup.", "no database"]


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_an_application_that_exits_does_not_start(mode: str) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        sys.exit("not today")

    with pytest.raises(StartupError, match=r"SystemExit\('not today'\)"):
        run(app, lifespan=mode)


async def forgetful(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Handles the messages and never answers."""
    while True:
        await receive()


def test_no_answer_is_a_warning_that_names_what_is_missing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifespan, "WARN_AFTER", 0.01)
    with pytest.raises(StartupError, match=r"has not sent 'lifespan\.startup\.complete' within 0\.05 seconds"):
        run(forgetful, timeout_lifespan_startup=0.05)
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "'lifespan.startup.complete'" in warning
    assert "within 0.05 seconds (timeout_lifespan_startup)" in warning
    assert "--lifespan off" in warning


def test_a_limit_below_the_warning_just_fails(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StartupError, match="timeout_lifespan_startup"):
        run(forgetful, timeout_lifespan_startup=0.01)
    assert messages(caplog) == ["Waiting for application startup."]


def test_a_late_answer_is_an_answer(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifespan, "WARN_AFTER", 0.001)
    warned = asyncio.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.WARNING:
                warned.set()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await warned.wait()
        await polite(scope, receive, send)

    logging.getLogger("pronghorn.error").addHandler(watch := Watch())
    try:
        run(app, timeout_lifespan_startup=None)
    finally:
        logging.getLogger("pronghorn.error").removeHandler(watch)
    assert "Application startup complete." in messages(caplog)


def test_a_stop_during_the_start_cancels_the_call() -> None:
    ended: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await forgetful(scope, receive, send)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def main() -> None:
        stop = asyncio.Event()
        made = make(app)
        starting = asyncio.ensure_future(made.startup(stop))
        await asyncio.sleep(0)
        stop.set()
        await starting
        assert ended == ["cancelled"]
        await made.shutdown(asyncio.Event())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_start_that_nobody_waits_for_any_more_is_cancelled() -> None:
    async def main() -> None:
        made = make(forgetful)
        starting = asyncio.ensure_future(made.startup(asyncio.Event()))
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait({starting})
        await made.shutdown(asyncio.Event())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_shutdown_that_takes_too_long_is_left(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.Event().wait()

    run(app, timeout_lifespan_shutdown=0.01)
    assert "timeout_lifespan_shutdown" in messages(caplog)[-1]


def test_a_forced_shutdown_has_a_limit_of_its_own(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifespan, "FORCED_LIMIT", 0.01)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.Event().wait()

    async def main() -> None:
        made = make(app, timeout_lifespan_shutdown=None)
        await made.startup(asyncio.Event())
        force = asyncio.Event()
        force.set()
        await made.shutdown(force)

    asyncio.run(main())
    assert "too long" in messages(caplog)[-1]


def test_shutdown_failed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "not flushed"})

    run(app)
    assert messages(caplog)[-2:] == ["not flushed", "Application shutdown failed. Exiting."]


def test_an_exception_in_the_shutdown_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise LookupError("mine")

    run(app)
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] != []
    assert messages(caplog)[-1] == "Application shutdown failed. Exiting."


def test_a_call_that_ended_early_is_not_asked_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})

    async def turn(_: Lifespan) -> None:
        await asyncio.sleep(0)

    run(app, then=turn)
    assert messages(caplog)[-1] == "Application startup complete."


def test_an_exception_between_start_and_stop_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise LookupError("mine")

    async def turn(_: Lifespan) -> None:
        await asyncio.sleep(0)

    run(app, then=turn)
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]


def test_a_call_that_goes_on_after_its_end_is_cancelled() -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await polite(scope, receive, send)
        await receive()  # never comes

    run(app)


STARTED, FAILED = {"type": "lifespan.startup.complete"}, {"type": "lifespan.startup.failed"}
STOPPED = {"type": "lifespan.shutdown.complete"}


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ([{"type": "lifespan.started"}], "not 'lifespan.started'"),
        ([{"type": "http.response.start"}], "not 'http.response.start'"),
        ([{}], "not None"),
        (["lifespan.startup.complete"], "must be a mapping, not str"),
        ([STARTED, STARTED], "'lifespan.startup.complete' sent after 'lifespan.startup' was already answered"),
        ([STARTED, FAILED], "'lifespan.startup.failed' sent after"),
        ([STARTED, STOPPED], "'lifespan.shutdown.complete' sent before 'lifespan.shutdown' was received"),
        ([{"type": "lifespan.startup.failed", "message": b"x"}], "'message' must be str, not bytes"),
    ],
)
def test_a_message_that_breaks_the_rules_raises_inside_the_application(sent: list[Any], words: str) -> None:
    caught: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        try:
            for message in sent:
                await send(message)
        except MessageError as error:
            caught.append(str(error))

    run(app)
    assert len(caught) == 1
    assert words in caught[0]


def test_the_second_answer_to_shutdown_is_refused() -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await polite(scope, receive, send)
        with pytest.raises(MessageError, match="already answered"):
            await send(STOPPED)
        scope["state"]["checked"] = True

    assert run(app).state["checked"]


def test_what_the_application_sets_in_its_context_is_kept() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        variable.set("of the lifespan")
        await polite(scope, receive, send)

    assert run(app).context[variable] == "of the lifespan"
