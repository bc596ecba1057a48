"""Make a source distribution reproducible: sorted names, fixed owner, modes and times.

repack_sdist.py dist/NAME.tar.gz      rewrites it in place; the time is SOURCE_DATE_EPOCH
"""

import gzip
import io
import os
import sys
import tarfile
from pathlib import Path


def repack(archive: Path, when: int) -> None:
    packed = io.BytesIO()
    with tarfile.open(archive) as source, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as target:
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            clean = tarfile.TarInfo(member.name)
            clean.type, clean.size, clean.mtime = member.type, member.size, when
            clean.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            target.addfile(clean, source.extractfile(member) if member.isfile() else None)
    with archive.open("wb") as file, gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=when) as zipped:
        zipped.write(packed.getvalue())


if __name__ == "__main__":
    repack(Path(sys.argv[1]), int(os.environ["SOURCE_DATE_EPOCH"]))
