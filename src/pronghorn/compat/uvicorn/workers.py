"""uvicorn.workers."""

from pronghorn.gunicorn import Worker

__all__ = ["UvicornH11Worker", "UvicornWorker"]


class UvicornWorker(Worker):
    """Pronghorn's worker class for gunicorn."""

    CONFIG_KWARGS = {"loop": "auto", "http": "auto"}


class UvicornH11Worker(UvicornWorker):
    """The same, on asyncio's loop."""

    CONFIG_KWARGS = {"loop": "asyncio", "http": "h11"}
