def decode_pieces(
    pieces: list[bytes],
    length: int | None = None,
    limit: int = 0,
    extension: int = 0,
    extensions: int = 0,
    trailer_fields: int = 0,
    trailer_size: int = 0,
) -> tuple[bytes, bytes, bool]: ...
