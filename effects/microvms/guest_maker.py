"""Making the guest's own image where nobody has: on the first need, once, in a process of its own that tells how far it
is. It takes Debian's packages by the machine's own apt, and installs none of them.

What is made lies under a name that is a hash of all that it is made of but Debian's packages: another release makes its
own, and nothing is ever taken for it that is not.
"""

import asyncio
import hashlib
import logging
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from effects.errors import DriverLacks, GuestImageFailed
from guest.image.house import stubs
from journal.release import RELEASE

log = logging.getLogger(__name__)

HOUSE = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 30.0
"""So long whoever needs it waits at a time: whatever else becomes due of his workload is not held up longer."""
MAKE_S = 900.0
"""For all of it. Most is the network's: 33 MiB."""
MANIFEST = "manifest"
_PROGRAMS = {
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
    "mksquashfs": "squashfs-tools",
    "lz4": "lz4",
}
_PACKAGES = "packages"
_ASIDE = ".build."


class Narrated(Protocol):
    """Runs a process to its end and returns its exit code; each line that it prints is `told`, both streams' alike."""

    def __call__(self, *argv: str, told: Callable[[str], None]) -> Awaitable[int]: ...


class GuestMaker:
    """`directory` holds what was made, and nothing else. `which` finds a program."""

    def __init__(
        self,
        directory: Path,
        narrated: Narrated,
        house: Path = HOUSE,
        which: Callable[[str], str | None] = shutil.which,
    ) -> None:
        self._directory = directory
        self._narrated = narrated
        self._house = house
        self._which = which
        self._place: Path | None = None
        self._making: asyncio.Task[Path] | None = None
        self.step = ""
        """How far it is, in words; empty while nobody makes it."""

    @property
    def place(self) -> Path:
        """Where it is, or will be."""
        if self._place is None:
            self._place = self._directory / _hashed(self._house)
        return self._place

    def lacks(self) -> str:
        """Why it can not be made here; empty where it can."""
        if not all(source.is_dir() for source in _sources(self._house)):
            return f"its sources are not in {self._house}"
        missing = [program for program in _PROGRAMS if self._which(program) is None]
        if not missing:
            return ""
        packages = " ".join(dict.fromkeys(_PROGRAMS[program] for program in missing))
        named = ", ".join(f"`{program}`" for program in missing)
        return f"{named} {'is' if len(missing) == 1 else 'are'} not installed: `apt-get install {packages}`"

    async def made(self) -> Path:
        """Its place, once it is there. Raises DriverLacks where it cannot be made, and GuestImageFailed where that went
        wrong, or takes its time: it goes on meanwhile."""
        if (self.place / MANIFEST).exists():
            return self.place
        if lacks := self.lacks():
            raise DriverLacks(f"the image that microVMs boot is made on the first need, and here {lacks}")
        if self._making is None:
            self._making = asyncio.ensure_future(self._make())
        making = self._making
        await asyncio.wait((making,), timeout=PATIENCE_S)
        if not making.done():
            raise GuestImageFailed(f"the image that microVMs boot is still being made, once for all: {self.step}")
        if self._making is making:
            self._making = None
        return making.result()

    async def close(self) -> None:
        """Nobody makes it any more; what there is of it is of no use."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.wait((self._making,))

    async def _make(self) -> Path:
        self._told("beginning")
        log.info("making the image that microVMs boot, in %s", self.place)
        said: list[str] = []

        def told(line: str) -> None:
            said[:] = [*said[-19:], line]
            self._told(line)

        try:
            await asyncio.to_thread(self._tidy)
            self.place.mkdir(parents=True, exist_ok=True, mode=0o700)
            async with asyncio.timeout(MAKE_S):
                code = await self._narrated(sys.executable, "-m", "guest.image", str(self.place), told=told)
            if code or not (self.place / MANIFEST).exists():
                raise GuestImageFailed(f"the image that microVMs boot cannot be made: {_why(said, code)}")
            await asyncio.to_thread(shutil.rmtree, self.place / _PACKAGES, ignore_errors=True)
            log.info("the image that microVMs boot is made")
            return self.place
        except TimeoutError:
            raise GuestImageFailed(
                f"the image that microVMs boot was not made within {MAKE_S:.0f} s; it was last at: {self.step}"
            ) from None
        except OSError as error:
            raise GuestImageFailed(f"the image that microVMs boot cannot be made: {error}") from error
        finally:
            self.step = ""

    def _told(self, line: str) -> None:
        self.step = line[:200]

    def _tidy(self) -> None:
        """Of another release's, and of what was cut, nothing stays. A guest that runs has it open."""
        for entry in self._directory.glob("*"):
            if entry != self.place:
                shutil.rmtree(entry, ignore_errors=True)
        for entry in self.place.glob(f"{_ASIDE}*"):
            shutil.rmtree(entry, ignore_errors=True)


def _why(said: list[str], code: int) -> str:
    """Its own last word, or apt's, which says more."""
    errors = [line for line in said if line.startswith("E: ")]
    return (errors or said or [f"it ended with {code}, and said nothing"])[-1]


def _sources(house: Path) -> tuple[Path, ...]:
    ours = (house / name for name in ("guest", "channel", "copies", "sandbox"))
    return *ours, stubs(house) / "capsule/guest"


def _hashed(house: Path) -> str:
    digest = hashlib.sha256(f"{RELEASE} {sys.version_info[:2]}\n".encode())
    for source in _sources(house):
        for file in sorted(source.rglob("*.py")):
            digest.update(f"{file.relative_to(house)}\n".encode() + file.read_bytes())
    lock = house / "requirements.lock"
    digest.update(lock.read_bytes() if lock.exists() else b"")
    return digest.hexdigest()[:16]
