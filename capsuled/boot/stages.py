"""What each part of the boot took, from the kernel's first moment on, and what it had to leave as it is. Kept in
memory, so that a daemon that is started again within this boot can still tell."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from journal.events import BootStage

BEGAN = Path("/run/capsule/init/began")
"""PID 1's own moments: when it began, and when its mounts were done."""

FILE = Path("/run/capsule/init/stages.json")


def since_boot_ns() -> int:
    """Nanoseconds since the kernel began."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Stages:
    """In the order in which they ended. `complete`: they have been journaled, and nothing is added any more. `tell`
    hears of each, with its problem, as it ends."""

    def __init__(self, file: Path = FILE, now_ns: Callable[[], int] = since_boot_ns) -> None:
        self._file, self._standing = file, file.with_name("standing.json")
        self._now_ns = now_ns
        self.tell: Callable[[str, str], None] = lambda name, problem: None
        self._stages: list[BootStage] = []
        self.complete = False
        if file.exists():
            self._stages = list(msgspec.json.decode(file.read_bytes(), type=tuple[BootStage, ...]))
            self.complete = True

    @property
    def all(self) -> tuple[BootStage, ...]:
        """By their beginnings."""
        return tuple(sorted(self._stages, key=lambda one: one.began_ms))

    @property
    def ready_ms(self) -> int:
        """When the API answered, since the kernel began; 0 while it does not."""
        return max((one.began_ms + one.took_ms for one in self._stages if one.name == API), default=0)

    def add(self, name: str, began_ns: int, ended_ns: int, problem: str = "") -> None:
        """A stage that somebody else timed."""
        if not self.complete:
            began_ms = began_ns // 1_000_000
            self._stages.append(BootStage(name, began_ms, ended_ns // 1_000_000 - began_ms, problem))
            self.tell(name, problem)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside; what ends in an error has the error as its problem."""
        began_ns, problem = self._now_ns(), ""
        try:
            yield
        except Exception as error:
            problem = str(error) or type(error).__name__
            raise
        finally:
            self.add(name, began_ns, self._now_ns(), problem)

    def keep(self) -> None:
        """Everything is up."""
        self.complete = True
        _write(self._file, self._stages)

    def stand(self, part: str, notes: tuple[str, ...]) -> None:
        """What an operator should know of a part of the boot for as long as that is not done again."""
        if notes != self.standing(part):
            _write(self._standing, self._stand() | {part: notes})

    def standing(self, part: str) -> tuple[str, ...]:
        """As it was kept last, by this daemon or one before it in this boot."""
        return self._stand().get(part, ())

    def _stand(self) -> dict[str, tuple[str, ...]]:
        if not self._standing.exists():
            return {}
        return msgspec.json.decode(self._standing.read_bytes(), type=dict[str, tuple[str, ...]])


def _write(file: Path, content: object) -> None:
    scratch = file.with_suffix(".new")
    scratch.write_bytes(msgspec.json.encode(content))
    scratch.replace(file)


KERNEL, MOUNTS, PYTHON, API, RUNTIME = "kernel and initramfs", "mounts", "daemon's start", "API", "containerd"
GROUP, HARDWARE = "volume group", "drivers of the hardware"


def before_us(stages: Stages, began: Path, now_ns: int) -> None:
    """What came before this process had a say: the kernel, PID 1's mounts, Python's own start."""
    try:
        init_ns, mounted_ns = (int(word) for word in began.read_text().split())
    except (OSError, ValueError):
        return
    stages.add(KERNEL, 0, init_ns)
    stages.add(MOUNTS, init_ns, mounted_ns)
    stages.add(PYTHON, mounted_ns, now_ns)
