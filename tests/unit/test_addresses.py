"""pronghorn.addresses: where to listen, as text."""

import sys
from typing import Any

import pytest

from pronghorn.addresses import Bind, Descriptor, Mode, Owner, Tcp, Unix, parse


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:80", Tcp("127.0.0.1", 80)),
        ("a.example:0", Tcp("a.example", 0)),
        ("a.example", Tcp("a.example", 8000)),
        (":80", Tcp("", 80)),
        ("*:80", Tcp("", 80)),
        ("*", Tcp("", 8000)),
        ("[::1]:80", Tcp("::1", 80)),
        ("[::]", Tcp("::", 8000)),
        ("[fe80::1%eth0]:80", Tcp("fe80::1%eth0", 80)),
        ("unix:a/b", Unix("a/b")),
        ("unix:/a:b", Unix("/a:b")),
        ("unix:///a", Unix("/a")),
        ("fd://0", Descriptor(0)),
        ("fd://17", Descriptor(17)),
    ],
)
def test_places(text: str, place: object) -> None:
    assert parse(text) == place
    assert Bind().check(text) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected host:port"),
        ("8000", "write :8000"),
        (":", "a port from 0 to 65535, got ''"),
        ("a:-1", "a port from 0 to 65535"),
        ("a:65536", "a port from 0 to 65535"),
        ("::1", "in brackets"),
        ("::", "in brackets"),
        ("[::1", "in brackets"),
        ("a]:80", "expected host:port"),
        ("http://a:80", "expected host:port"),
        ("a/b", "expected host:port"),
        ("a\0b:1", "expected host:port"),
        ("unix:", "a path after unix:"),
        ("unix:@", "a path after unix:"),
        ("unix:a\0b", "a path after unix:"),
        ("fd://", "a file descriptor from 0"),
        ("fd://-1", "a file descriptor from 0"),
        ("fd://99999999999", "a file descriptor from 0 to 2147483647"),
        (7, "expected host:port"),
        (None, "expected host:port"),
    ],
)
def test_what_names_no_place(text: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        Bind().check(text)
    assert "\n" not in str(error.value)


def test_abstract_unix_sockets_are_linuxs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert parse("unix:@a") == Unix("@a")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ValueError, match="abstract unix sockets are Linux's"):
        parse("unix:@a")


@pytest.mark.parametrize(
    ("value", "kept"), [("660", 0o660), ("0660", 0o660), ("0o600", 0o600), ("0", 0), (0o777, 0o777), (None, None)]
)
def test_modes(value: Any, kept: int | None) -> None:
    assert Mode().check(value) == kept
    assert Mode().check(Mode().plain(kept)) == kept


@pytest.mark.parametrize("value", ["", "8", "1000", "00660", "rw", "-1", -1, 0o1000, True, 6.6])
def test_no_modes(value: Any) -> None:
    with pytest.raises(ValueError, match="permissions in octal"):
        Mode().check(value)


def test_owners() -> None:
    for value in ("a", "a:b", ":b", "1:2", None):
        assert Owner().check(value) == value
    for value in ("", ":", "a:b:c", 3, "a\0"):
        with pytest.raises(ValueError, match="USER, USER:GROUP or :GROUP"):
            Owner().check(value)
