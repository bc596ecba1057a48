"""What the benchmarks are given."""

# Operations in one round of a benchmark inside compiled code: its microseconds are nanoseconds for each.
TIMES = 1000

FIELDS = {
    b"Host": b"localhost:8000",
    b"User-Agent": b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    b"Accept": b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    b"Accept-Language": b"en-GB,en;q=0.7,de;q=0.3",
    b"Accept-Encoding": b"gzip, deflate, br, zstd",
    b"Referer": b"http://localhost/articles/2026/11/pronghorn?page=2",
    b"Cookie": b"session=3b1f8c6de2a94d0f9a77; theme=dark; consent=necessary",
    b"Upgrade-Insecure-Requests": b"1",
    b"Sec-Fetch-Dest": b"document",
    b"Sec-Fetch-Mode": b"navigate",
    b"Sec-Fetch-Site": b"same-origin",
    b"Cache-Control": b"max-age=0",
}
PLAIN = b"GET / HTTP/1.1\r\nHost: localhost:8000\r\n\r\n"
BROWSER = b"GET / HTTP/1.1\r\n" + b"".join(b"%s: %s\r\n" % field for field in FIELDS.items()) + b"\r\n"


def post(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: localhost:8000\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
