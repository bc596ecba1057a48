"""Who is measured, and the exact command line of each: one worker, uvloop where it can be chosen, and no log but in the
works that are about it."""

from dataclasses import dataclass

SERVED = "served"  # the folder with the applications and the floors; every server is started in it


@dataclass(frozen=True)
class Server:
    name: str
    package: str | None  # the distribution whose version is reported
    command: str  # {bin} {python} {app} {port} {build} are filled in
    quiet: str = ""  # added for works without an access log
    logged: str | None = None  # added for those with one; None: it has none
    tls: str | None = None  # added for works over TLS; None: it has none
    secure: bool = False  # this one is asked over TLS
    http: str | None = ""  # added for requests; None: it takes none
    websocket: str | None = None  # added for sessions; None: it takes none
    idle_options: str = ""  # added when a thousand connections or more are held
    floor: bool = False
    path: str | None = None  # PYTHONPATH, for a second build of pronghorn


QUIET = "--no-access-log --log-level warning"
TLS = "--ssl-certfile {build}/certificate.pem --ssl-keyfile {build}/key.pem"

SERVERS = [
    Server(
        "pronghorn",
        "pronghorn",
        "{bin}/pronghorn {app} --host 127.0.0.1 --port {port}",
        quiet=QUIET,
        logged="",
        tls=TLS,
        websocket="",
    ),
    Server(
        "uvicorn",
        "uvicorn",
        "{bin}/uvicorn {app} --host 127.0.0.1 --port {port} --loop uvloop --http httptools",
        quiet=QUIET,
        logged="",
        tls=TLS,
        http="--ws none",
        websocket="--ws websockets-sansio",
        idle_options="--timeout-keep-alive 75",
    ),
    Server(
        "granian",
        "granian",
        "{bin}/granian {app} --host 127.0.0.1 --port {port} --interface asgi --http 1 --loop uvloop",
        quiet=QUIET,
        logged="--access-log",
        tls="--ssl-certificate {build}/certificate.pem --ssl-keyfile {build}/key.pem",
        http="--no-ws",
        websocket="--ws",
        idle_options="--backpressure 20000",
    ),
    Server("fastpysgi", "fastpysgi", "{bin}/fastpysgi {app} --host 127.0.0.1 --port {port}"),
    Server(
        "socketify",
        "socketify",
        "{python} -m socketify {app} --host 127.0.0.1 --port {port} --interface asgi --disable-listen-log True",
        http="--ws none",
        websocket="--ws auto",
    ),
    Server(
        "gunicorn",
        "gunicorn",
        "{bin}/gunicorn {app} --bind 127.0.0.1:{port} --workers 1 --worker-class asgi --asgi-loop uvloop",
        quiet="--log-level warning",
        logged="--access-logfile -",
        tls="--certfile {build}/certificate.pem --keyfile {build}/key.pem",
        websocket="",
        idle_options="--keep-alive 75 --worker-connections 20000",
    ),
    Server(
        "hypercorn",
        "Hypercorn",
        "{bin}/hypercorn {app} --bind 127.0.0.1:{port} --workers 1 --worker-class uvloop",
        quiet="--log-level warning",
        logged="--access-logfile -",
        websocket="",
        idle_options="--keep-alive 75",
    ),
    Server("raw uvloop", None, "{python} uvloop_floor.py {port}", floor=True),
    Server("C epoll", None, "{build}/epoll_floor {port}", floor=True),
    Server("C frames", None, "{build}/ws_floor {port}", http=None, websocket="", floor=True),
]


def revision(name: str, path: str) -> Server:
    """Another build of pronghorn, found before the installed one."""
    command = "{python} -m pronghorn {app} --host 127.0.0.1 --port {port}"
    return Server(name, None, command, quiet=QUIET, logged="", tls=TLS, websocket="", path=path)
