"""A Starlette application with one JSON endpoint."""

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def endpoint(request):
    return JSONResponse({"message": "Hello, World!", "path": request.url.path, "numbers": [1, 2, 3, 4, 5]})


app = Starlette(routes=[Route("/", endpoint)])
