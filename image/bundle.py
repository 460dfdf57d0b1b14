"""The update: both images of a slot, and a manifest by which each member can be checked before anything is armed.

effects/slots/manifest.py says what stands in the manifest, effects/slots/bundle.py in which order the members are.
"""

import hashlib
import io
import tarfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from effects.slots.manifest import ARCHITECTURE, FORMAT, FORMATS, Levels, Manifest, Member, encode
from effects.slots.signing import sign
from image.commands import BuildFailed
from journal.codec import reader_level
from projections.views import VIEWS

_CHUNK = 1 << 20


def write(
    target: Path,
    release: str,
    commit: str,
    members: dict[str, Path],
    epoch_s: int,
    key: Ed25519PrivateKey | None = None,
    expires_s: int = 0,
    levels: Levels | None = None,
) -> None:
    """VERSION and manifest first, so that whoever streams it knows what comes. `members` in their order; `levels` are
    this release's own, unless others are given."""
    manifest = encode(
        Manifest(
            format=FORMAT,
            version=release,
            commit=commit,
            built=epoch_s,
            architecture=ARCHITECTURE,
            members=tuple(Member(name, file.stat().st_size, sha256(file)) for name, file in members.items()),
            levels=levels or Levels(reader_level(), tuple(sorted(VIEWS)), dict(FORMATS)),
            expires=expires_s,
        )
    )
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, "VERSION", f"{release}\n".encode(), epoch_s)
        _add(tar, "manifest.json", manifest, epoch_s)
        if key is not None:
            _add(tar, "manifest.sig", sign(manifest, key), epoch_s)
        for name, file in members.items():
            with file.open("rb") as source:
                tar.addfile(_header(name, file.stat().st_size, epoch_s), source)


def signing_key(file: Path) -> Ed25519PrivateKey:
    """The key in a PEM file, as `openssl genpkey -algorithm ed25519` writes it. Raises BuildFailed."""
    made = "`openssl genpkey -algorithm ed25519 -out FILE` makes one"
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise BuildFailed(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise BuildFailed(f"{file} holds no key that can be used without a password: {made}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BuildFailed(f"{file} holds no Ed25519 key: {made}")
    return key


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
