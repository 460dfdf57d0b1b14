"""The end of the machine: nothing runs any more, what was written is on its disks, and the record says what was.

Whatever does not come to its end here is ended by a second process after a while: a machine that hangs tells nobody.
"""

import _json
import errno
import fcntl
import os
import time

from guest import console, kernel
from guest.boot import LAYER, PAYLOAD, ROOT
from guest.mounts import VOLUMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guest.run import Run

_LAST_RESORT_S = 60.0
_KILLED_S = 10.0
_UNMOUNTED_S = 20.0
_LOOK_S = 0.005
_THAW = 0xC004_5878
_TEXT_SIGNS = 280
"""However it is written (a sign takes up to twelve bytes), a record with such a text has room for it."""
_EACH, _NUMBER_MOST = 16, 1_000_000
_KILL = 9


class Sparing:
    """Which of growing numbers are told, of a record that is bounded: each up to a few, then each that is twice the one
    that was told before, and at last none."""

    def __init__(self) -> None:
        self._least = 1

    def worth(self, number: int) -> bool:
        """Whether this one is."""
        if not self._least <= number < _NUMBER_MOST:
            return False
        self._least = number + 1 if number < _EACH else 2 * number
        return True


def record(outcome: "dict[str, int | str]") -> bytes:
    """What ended, and how, as a line of JSON of a bounded size."""
    return f"{{{', '.join(f'{_said(name)}: {_said(value)}' for name, value in outcome.items())}}}\n".encode()


def _said(value: int | str) -> str:
    return str(value) if isinstance(value, int) else str(_json.encode_basestring_ascii(value[:_TEXT_SIGNS]))


def finish(run: "Run | None", disks: dict[str, str], end: int, outcome: "dict[str, int | str]") -> None:
    """Unmount, write the record to the port `end`, switch off. Never returns, and raises nothing."""
    try:
        volumes = [one["serial"] for one in run.mounts] if run is not None else []
        for serial in volumes:
            thaw(f"{VOLUMES}/{serial}")
        _kill_all()
        _last_resort()
        os.sync()
        _unmount([ROOT, *(f"{VOLUMES}/{serial}" for serial in volumes), LAYER, PAYLOAD])
        _released([disks[serial] for serial in ("layer", *volumes) if serial in disks])
    except BaseException as error:
        what = f"what was written may not be whole: {console.described(error)}"
        console.fault(what)
        outcome = {**outcome, "fault": what}
    try:
        if end >= 0:
            os.set_blocking(end, True)
            os.write(end, record(outcome))
    except OSError as error:
        console.fault(f"the end cannot be told: {console.described(error)}")
    kernel.power_off()


def thaw(place: str) -> bool:
    """Let what was held be written again; whether something was held. What writes cannot even be killed before."""
    try:
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.ioctl(fd, _THAW, 0)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _kill_all() -> None:
    """Everything but this process. What the kernel itself does not let go of is waited for only so long."""
    deadline = time.monotonic() + _KILLED_S
    while time.monotonic() < deadline:
        try:
            os.kill(-1, _KILL)
        except ProcessLookupError:
            pass  # there is nothing else; it may still be to be reaped
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(_LOOK_S)
    console.fault("there are processes that cannot be killed")


def _last_resort() -> None:
    """A process that switches the machine off if nobody else does."""
    if os.fork():
        return
    time.sleep(_LAST_RESORT_S)
    console.fault("the machine does not come to its end: it is switched off as it is")
    kernel.power_off()


def _unmount(places: list[str]) -> None:
    """Whatever of it is mounted. Raises OSError."""
    deadline = time.monotonic() + _UNMOUNTED_S
    for place in places:
        while True:
            try:
                kernel.unmount(place)
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.ENOENT):
                    break  # it never was
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_LOOK_S)
            else:
                break


def _released(disks: list[str]) -> None:
    """No mount of any namespace has these disks any more: then all that was written is on them. Raises OSError."""
    deadline = time.monotonic() + _UNMOUNTED_S
    for disk in disks:
        while True:
            try:
                os.close(os.open(disk, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
                break
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_LOOK_S)
