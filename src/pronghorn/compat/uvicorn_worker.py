"""The package uvicorn-worker, which has the worker classes that uvicorn has had."""

from pronghorn.compat.uvicorn.workers import UvicornH11Worker, UvicornWorker

__all__ = ["UvicornH11Worker", "UvicornWorker"]
