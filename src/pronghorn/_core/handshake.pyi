from pronghorn._core.deflate import Deflate, DeflateOptions

class Opening:
    status: int
    accept: bytes
    subprotocols: list[str]
    deflate: Deflate | None

def open_handshake(method: str, headers: list[tuple[bytes, bytes]], options: DeflateOptions | None) -> Opening: ...
