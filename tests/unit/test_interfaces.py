"""pronghorn.interfaces: which one an application has, and what makes it ASGI 3."""

import functools
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pronghorn import Config, ConfigError
from pronghorn.interfaces import adapt, detect
from pronghorn.interfaces.asgi2 import ASGI2Middleware


async def coroutine_function(scope: Any, receive: Any, send: Any) -> None: ...


def returns_a_coroutine(scope: Any, receive: Any, send: Any) -> Awaitable[None]:
    return coroutine_function(scope, receive, send)


def asgi2_function(scope: Any) -> Callable[..., Awaitable[None]]:
    return functools.partial(coroutine_function, scope)


@functools.wraps(coroutine_function)
def wrapper(*args: Any) -> Awaitable[None]:
    return coroutine_function(*args)


def any_arguments(*args: Any) -> Awaitable[None]:
    return coroutine_function(*args)


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


class Awaited:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def __await__(self) -> Any:
        yield


class Asgi2:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


class Callable3:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def plain(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        return coroutine_function(scope, receive, send)


class Callable1:
    def __call__(self, scope: Any) -> Any: ...


CASES = {
    "coroutine function": (coroutine_function, "asgi3"),
    "function that returns a coroutine": (returns_a_coroutine, "asgi3"),
    "partial": (functools.partial(coroutine_function), "asgi3"),
    "partial with a value": (functools.partial(lambda value, scope, receive, send: None, 1), "asgi3"),
    "wrapper": (wrapper, "asgi3"),
    "any arguments": (any_arguments, "asgi3"),
    "class that is awaited": (Awaited, "asgi3"),
    "instance": (Callable3(), "asgi3"),
    "bound method": (Callable3().__call__, "asgi3"),
    "bound method without async": (Callable3().plain, "asgi3"),
    "builtin that does not tell": (getattr, "asgi3"),
    "class": (Asgi2, "asgi2"),
    "function of one argument": (asgi2_function, "asgi2"),
    "instance of one argument": (Callable1(), "asgi2"),
}


@pytest.mark.parametrize("case", CASES)
def test_detection(case: str) -> None:
    app, interface = CASES[case]
    assert detect(app) == interface


def test_a_wsgi_application_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^interface: .* WSGI .* --interface wsgi$"):
        detect(wsgi)


def test_an_asgi_3_application_is_left_alone() -> None:
    assert adapt(returns_a_coroutine, "asgi3") is returns_a_coroutine
    config = Config(coroutine_function, log_config=None)
    config.load()
    assert config.loaded_app is coroutine_function
    assert (config.interface, config.asgi_version) == ("asgi3", "3.0")


def test_an_asgi_2_application_is_wrapped() -> None:
    config = Config(Asgi2, log_config=None)
    config.load()
    assert isinstance(config.loaded_app, ASGI2Middleware)
    assert (config.interface, config.asgi_version) == ("asgi2", "2.0")


def test_what_is_asked_for_is_not_guessed() -> None:
    config = Config(returns_a_coroutine, log_config=None, interface="asgi2")
    config.load()
    assert isinstance(config.loaded_app, ASGI2Middleware)


def test_wsgi_without_its_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "a2wsgi", None)
    with pytest.raises(
        ConfigError, match=r"^interface: wsgi needs the package a2wsgi: pip install 'pronghorn\[wsgi\]'$"
    ):
        Config(wsgi, log_config=None, interface="wsgi").load()
