"""uvicorn.protocols.utils."""

from typing import Any
from urllib.parse import quote

from pronghorn.errors import ClientDisconnected

__all__ = ["ClientDisconnected", "get_client_addr", "get_path_with_query_string"]


def get_client_addr(scope: Any) -> str:
    """The client of a request as the access log shows it."""
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else ""


def get_path_with_query_string(scope: Any) -> str:
    """The target of a request as the access log shows it."""
    path, query = quote(scope["path"]), scope["query_string"].decode("ascii")
    return f"{path}?{query}" if query else path
