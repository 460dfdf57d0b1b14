"""The Python packages that the daemon needs, as requirements.lock has them: taken from the virtual environment.

`make venv` installed them there with every hash checked; here each file is checked once more, against the record that
its package came with. Nothing is downloaded, so image and tests have the same bytes.
"""

import base64
import hashlib
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackagePath, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from image.commands import BuildFailed
from image.modes import settle

ROOT = Path(__file__).resolve().parent.parent
_NOT_NEEDED = (".pyc", ".pyi", ".c", ".h", ".pyx", ".pxd")
_OF_THE_ENVIRONMENT = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""How it was installed there, by hashes of programs that name the place: they differ from one checkout to the next."""


def needed() -> tuple[Distribution, ...]:
    """Everything that `capsule[daemon]` needs, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: dict[str, Distribution] = {}
    waiting = [Requirement(one) for one in (*project["dependencies"], *project["optional-dependencies"]["daemon"])]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        found[name] = distribution(name)
        waiting += _requirements(found[name], wanted.extras)
    return tuple(found[name] for name in sorted(found))


def _requirements(one: Distribution, extras: Iterable[str]) -> Iterator[Requirement]:
    for text in one.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def place(target: Path) -> tuple[Distribution, ...]:
    """Copy all of it into `target`; returns what was copied. Raises BuildFailed for a file that is not as recorded."""
    lock = (ROOT / "requirements.lock").read_text()
    chosen = needed()
    for one in chosen:
        name = canonicalize_name(one.name)
        if f"{name}=={one.version} " not in lock:
            raise BuildFailed(f"{name} {one.version} is not what requirements.lock says: run `make venv` first")
        for file in one.files or ():
            left_out = file.suffix in _NOT_NEEDED or file.name in _OF_THE_ENVIRONMENT
            if not str(file).startswith("../") and not left_out:
                _copy(one, file, target)
    settle(target)
    return chosen


def _copy(one: Distribution, file: PackagePath, target: Path) -> None:
    data = Path(str(file.locate())).read_bytes()
    if file.hash is None:
        raise BuildFailed(f"{file} of {one.name} has no hash on record")
    found = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, data).digest()).rstrip(b"=").decode()
    if found != file.hash.value:
        raise BuildFailed(f"{file} of {one.name} was altered since it was installed: remove .venv and `make venv`")
    place_of = target / file
    place_of.parent.mkdir(parents=True, exist_ok=True)
    place_of.write_bytes(data)
    shutil.copymode(str(file.locate()), place_of)
