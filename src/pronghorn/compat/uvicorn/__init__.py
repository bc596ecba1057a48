"""uvicorn's names for what Pronghorn has. The loggers are called uvicorn, uvicorn.error and uvicorn.access then."""

from pronghorn import logs

# Before anything of the server is made: what configures these loggers shall find them.
logs.rename("uvicorn")

from pronghorn import Config, Server, main, run  # noqa: E402

Server.exits_on_failure = True

__version__ = "0.54.0"  # the one whose interface this is

__all__ = ["Config", "Server", "main", "run"]
