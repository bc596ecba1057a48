"""A Django application over its ASGI handler: sync and async views, uploads, streams, files, and its middleware."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Server, modes, serve

pytest.importorskip("django", reason="Django is not installed")

import django
from django.conf import settings

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="tests",
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.gzip.GZipMiddleware",
        ],
        LOGGING_CONFIG=None,
        DEFAULT_CHARSET="utf-8",
        DATA_UPLOAD_MAX_MEMORY_SIZE=10_000_000,
    )
    django.setup()

from django.core.asgi import get_asgi_application
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path

EVENTS: list[str] = []


def home(request: HttpRequest, name: str = "") -> JsonResponse:
    return JsonResponse(
        {
            "method": request.method,
            "path": request.path,
            "query": request.GET.dict(),
            "agent": request.headers.get("User-Agent"),
            "host": request.get_host(),
            "address": request.META["REMOTE_ADDR"],
        }
    )


async def coroutine(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse("async")


def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body, content_type="application/octet-stream")


def form(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"name": request.POST["name"], "size": request.FILES["file"].size})


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(100):
            yield b"%d," % number
            await asyncio.sleep(0)

    return StreamingHttpResponse(parts())


async def endless(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        try:
            for number in range(1_000_000):
                yield b"%d," % number
                await asyncio.sleep(0.001)
        finally:
            EVENTS.append("ended")

    return StreamingHttpResponse(parts())


async def waiting(request: HttpRequest) -> HttpResponse:
    EVENTS.append("begun")
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        EVENTS.append("cancelled")
        raise
    return HttpResponse("late")


async def file(request: HttpRequest) -> FileResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield Path(__file__).read_bytes()

    return FileResponse(parts())


def missing(request: HttpRequest) -> HttpResponse:
    raise Http404("not here")


def broken(request: HttpRequest) -> HttpResponse:
    raise LookupError("on purpose")


def cookies(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(json.dumps(request.COOKIES))
    response.set_cookie("a", "b")
    response.set_cookie("c", "d")
    return response


urlpatterns = [
    path("", home),
    path("page/<str:name>/", home),
    path("async", coroutine),
    path("echo", echo),
    path("form", form),
    path("stream", stream),
    path("endless", endless),
    path("waiting", waiting),
    path("file", file),
    path("missing", missing),
    path("broken", broken),
    path("cookies", cookies),
]


@pytest.fixture(scope="module", params=modes("lazy", "eager", "task"), ids="-".join)
def site(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Lifespan stays on auto, since Django's handler does not speak it and says so with an exception."""
    loop, task = request.param
    with serve(get_asgi_application(), loop=loop, task=task, lifespan="auto") as server:
        assert server.take_log() == []
        yield server


def test_sync_view(site: Server) -> None:
    response = site.get("/?a=b%20c", "User-Agent: test/1")
    assert json.loads(response.body) == {
        "method": "GET",
        "path": "/",
        "query": {"a": "b c"},
        "agent": "test/1",
        "host": "test",
        "address": "127.0.0.1",
    }


def test_path(site: Server) -> None:
    assert json.loads(site.get("/page/caf%C3%A9/").body)["path"] == "/page/café/"


def test_async_view(site: Server) -> None:
    assert site.get("/async").body == b"async"


@pytest.mark.parametrize("size", [0, 100, 100_000, 4_000_000])
def test_body(site: Server, size: int) -> None:
    body = bytes(number % 256 for number in range(min(size, 1000))) * (size // 1000 or 1)
    assert site.get("/echo", method="POST", body=body).body == body


def test_form(site: Server) -> None:
    lines = [
        "--xx",
        'Content-Disposition: form-data; name="name"',
        "",
        "pronghorn",
        "--xx",
        'Content-Disposition: form-data; name="file"; filename="f"',
        "",
        "x" * 3_000_000,
        "--xx--",
        "",
    ]
    body = "\r\n".join(lines).encode()
    response = site.get("/form", "Content-Type: multipart/form-data; boundary=xx", method="POST", body=body)
    assert json.loads(response.body) == {"name": "pronghorn", "size": 3_000_000}


def test_stream(site: Server) -> None:
    response = site.get("/stream")
    assert response.body == b"".join(b"%d," % number for number in range(100))
    assert response.framing == "chunked"


# Django leaves the file that it keeps the request's body in to the collector when a call is cancelled.
unclosed = pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")


@unclosed
def test_stream_ends_with_the_client(site: Server) -> None:
    """The call ends. Django closes its own generator around the view's, which ends when it is collected."""
    EVENTS.clear()
    peer = site.raw()
    peer.send(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n")
    peer.head()
    assert peer.chunk().startswith(b"0,")
    peer.reset()
    site.idle()
    gc.collect()
    site.until(lambda: EVENTS == ["ended"], "the generator ends")
    assert len(site.take_log()) == 0


@unclosed
def test_view_ends_with_the_client(site: Server) -> None:
    """Django listens for http.disconnect and cancels the view."""
    EVENTS.clear()
    peer = site.raw()
    peer.send(b"GET /waiting HTTP/1.1\r\nHost: h\r\n\r\n")
    site.until(lambda: EVENTS == ["begun"], "the view begins")
    peer.reset()
    site.until(lambda: EVENTS == ["begun", "cancelled"], "the view is cancelled")
    site.idle()
    gc.collect()
    assert site.take_log() == []


def test_file(site: Server) -> None:
    assert site.get("/file").body == Path(__file__).read_bytes()


def test_errors(site: Server) -> None:
    assert site.get("/missing").status == 404
    assert site.get("/nowhere").status == 404
    assert site.get("/broken").status == 500
    assert all(record.name.startswith("django") for record in site.take_log())


def test_cookies(site: Server) -> None:
    response = site.get("/cookies", "Cookie: x=y; z=w")
    assert json.loads(response.body) == {"x": "y", "z": "w"}
    assert [value.partition(";")[0] for value in response.every("set-cookie")] == ["a=b", "c=d"]


def test_head(site: Server) -> None:
    with site.raw() as peer:
        peer.send(b"HEAD /async HTTP/1.1\r\nHost: h\r\n\r\nGET /async HTTP/1.1\r\nHost: h\r\n\r\n")
        assert peer.response("HEAD").header("content-length") == "5"
        assert peer.response().body == b"async"


def test_gzip(site: Server) -> None:
    import gzip

    response = site.get("/stream", "Accept-Encoding: gzip")
    assert response.header("content-encoding") == "gzip"
    assert gzip.decompress(response.body) == b"".join(b"%d," % number for number in range(100))


def test_keep_alive(site: Server) -> None:
    with site.raw() as peer:
        for _ in range(20):
            peer.send(b"GET /async HTTP/1.1\r\nHost: h\r\n\r\n")
            assert peer.response().body == b"async"


def test_concurrent(site: Server) -> None:
    """Forty clients at once, over sync views in threads and async ones in the loop."""
    peers: list[Any] = [site.raw() for _ in range(40)]
    try:
        for number, peer in enumerate(peers):
            peer.send(b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n" % (b"async" if number % 2 else b"?n=%d" % number))
        for number, peer in enumerate(peers):
            body = peer.response().body
            assert body == b"async" if number % 2 else json.loads(body)["query"] == {"n": str(number)}
    finally:
        for peer in peers:
            peer.close()
