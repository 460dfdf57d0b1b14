"""The update: both images of a slot, and a manifest by which each member can be checked before anything is armed."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

FORMAT = 1
_CHUNK = 1 << 20


def write(target: Path, release: str, commit: str, members: dict[str, Path], epoch_s: int) -> None:
    """VERSION and manifest.json first, so that whoever streams it knows what comes."""
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": release,
        "commit": commit,
        "built": epoch_s,
        "members": [
            {"name": name, "size": file.stat().st_size, "sha256": sha256(file)} for name, file in members.items()
        ],
    }
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, "VERSION", f"{release}\n".encode(), epoch_s)
        _add(tar, "manifest.json", json.dumps(manifest, indent=2).encode() + b"\n", epoch_s)
        for name, file in members.items():
            with file.open("rb") as source:
                tar.addfile(_header(name, file.stat().st_size, epoch_s), source)


def sha256(file: Path) -> str:
    """Of a file, in hex."""
    digest = hashlib.sha256()
    with file.open("rb") as source:
        while piece := source.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _add(tar: tarfile.TarFile, name: str, data: bytes, epoch_s: int) -> None:
    tar.addfile(_header(name, len(data), epoch_s), io.BytesIO(data))


def _header(name: str, size: int, epoch_s: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mtime, header.mode = size, epoch_s, 0o644
    return header
