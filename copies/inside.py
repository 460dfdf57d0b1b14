"""The daemon's end of a copy, as a process of its own: it enters the workload's file system and never leaves it.

`-c "import sys; sys.path.insert(0, HOME); from copies.inside import main; main()" CONTROL PROCESS`, with the archive on
standard input or output, and two descriptors: CONTROL, a socket on which the request comes and answers go, and PROCESS,
a pidfd of the workload's first process, or -1 where it has none: then the request says what to mount.

Once it is inside, it sees what the workload sees, volumes and all, has only the capabilities to read and write files,
and every module that it will ever need: nothing of the workload's is ever executed, loaded or opened unlooked at.
"""

import os
import resource
import socket
import sys
from collections.abc import Callable
from typing import NamedTuple

from copies import kernel
from copies.errors import CopyError
from copies.inbound import receive
from copies.opening import Guarded, Opening
from copies.outbound import send
from copies.place import Place
from copies.sinks import Sink
from copies.sources import Pipe
from copies.staging import Powers

POWERS = Powers(owners=True, set_id=True)
COMMIT = b"c"
UNREAD = ("CALLED_OFF", "nobody reads the archive any more")
LINE = b"\n"
_LENGTH_BYTES = 4
_FILES = 4_096
_LOOKED = os.O_PATH | os.O_DIRECTORY
_ROOT = "/"


class Request(NamedTuple):
    """What to do: `to` or `from` the workload called `name`, at `path`. Where it does not run: how its root is mounted
    (`kind`, `source`, `options`), at a directory for it, and the places in it that other things are mounted at when it
    does."""

    way: str
    name: str
    path: str
    kind: str = ""
    source: str = ""
    options: str = ""
    directory: str = ""
    covered: tuple[str, ...] = ()

    def packed(self) -> bytes:
        """As it goes over the socket."""
        packed = b"\0".join(os.fsencode(field) for field in (*self[:7], *self.covered))
        return len(packed).to_bytes(_LENGTH_BYTES, "big") + packed

    @classmethod
    def of(cls, packed: bytes) -> "Request":
        """The reverse, without the length."""
        way, name, path, kind, source, options, directory, *covered = map(os.fsdecode, packed.split(b"\0"))
        return cls(way, name, path, kind, source, options, directory, tuple(covered))


class Control:
    """The socket: answers are lines of fields. The last of every copy ends with how many bytes have `moved`."""

    def __init__(self, fd: int) -> None:
        self.moved: Callable[[], int] = lambda: 0
        self._socket = socket.socket(fileno=fd)

    def fileno(self) -> int:
        """To wait for whoever asked."""
        return self._socket.fileno()

    def request(self) -> Request:
        """What to do."""
        return Request.of(self._exactly(int.from_bytes(self._exactly(_LENGTH_BYTES), "big")))

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            more = self._socket.recv(count - len(found))
            if not more:
                raise SystemExit(1)  # whoever started us has gone
            found += more
        return found

    def tell(self, *fields: str | int) -> None:
        """One answer. Whoever asked may have gone: then there is nobody to tell."""
        line = "\0".join(str(field).replace("\n", " ").replace("\0", " ") for field in fields)
        try:
            self._socket.sendall(line.encode(errors="replace") + LINE)
        except OSError:
            pass

    def close(self) -> None:
        """Nothing more is said."""
        self._socket.close()

    def ready(self) -> None:
        """Bytes may move now."""
        self.tell("ready")

    def done(self, entries: int, left_out: int = 0, changed: int = 0) -> None:
        """It has come to its end; see CopyReport."""
        self.tell("done", entries, left_out, changed, self.moved())

    def refused(self, reason: str, message: str) -> None:
        """It has not, and why."""
        self.tell("refused", reason, message, self.moved())

    def meant(self) -> bool:
        """Whether whoever asked says that the archive came whole, and is meant. If it has gone, it is not."""
        try:
            return self._socket.recv(1) == COMMIT
        except OSError:
            return False


def main() -> None:
    """One copy."""
    control = Control(int(sys.argv[1]))
    code = 1
    try:
        _copy(control, int(sys.argv[2]))
        code = 0
    except CopyError as error:
        control.refused(error.reason, str(error))
    except BrokenPipeError:
        control.refused(*UNREAD)
    except OSError as error:
        control.refused("COPY_FAILED", f"the copy failed: {os.strerror(error.errno or 0)}")
    except BaseException as error:  # to be printed, its lines would be looked for in the workload's files
        control.refused("COPY_FAILED", f"the copy failed: {type(error).__name__}")
    # Nothing that Python does at its end may look for modules in the workload.
    os._exit(code)


def _copy(control: Control, process: int) -> None:
    request = control.request()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, hard), hard))
    descriptors = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    outside = os.stat(_ROOT)
    if process >= 0:
        try:
            kernel.enter(process)
        except ProcessLookupError as ended:
            raise CopyError("NOT_RUNNING", f"{request.name} has just ended: copy again when it runs") from ended
        os.close(process)
    else:
        _mount(request)
    _seal()
    root = os.open(_ROOT, _LOOKED)
    if os.path.samestat(outside, os.fstat(root)):
        raise CopyError("COPY_FAILED", f"{request.name} has no file system of its own")
    kernel.renounce()
    place = Place(root, request.name, request.path, None if process >= 0 else request.covered)
    opening = Guarded(descriptors)
    if request.way == "to":
        take_in(control, place, opening, 0)
    else:
        send_out(control, place, opening, 1)


def take_in(control: Control, place: Place, opening: Opening, pipe: int) -> None:
    """The archive in a pipe, to its place."""
    source = Pipe(pipe, control.fileno())
    control.moved = lambda: source.taken
    control.done(receive(place.path, place.told, place.open, source, opening, POWERS, control.ready, control.meant))


def send_out(control: Control, place: Place, opening: Opening, pipe: int) -> None:
    """What is at a place, as an archive into a pipe, which is closed at its end."""
    sink = Sink(pipe, control.fileno())
    control.moved = lambda: sink.sent
    packer = send(place, opening, sink, control.ready)
    os.close(pipe)
    control.done(packer.entries, packer.left_out, packer.changed)


def _mount(request: Request) -> None:
    """Its root, in a mount namespace that ends with us. What is mounted in it while it runs is covered: an empty
    directory of another file system stands there, which tells that something is missing."""
    kernel.alone()
    if request.kind == "bind":
        kernel.bind(request.source, request.directory)
    else:
        kernel.mount(request.kind, request.source, request.directory, request.options)
    root = os.open(request.directory, _LOOKED)
    for place in request.covered:
        try:
            fd = kernel.open_below(root, place, _LOOKED)
        except OSError:
            continue  # a file, or nothing is there yet
        kernel.mount("tmpfs", "absent", f"/proc/self/fd/{fd}", "size=4k", read_only=True)
        os.close(fd)
    os.close(root)
    os.chroot(request.directory)
    os.chdir(_ROOT)


def _seal() -> None:
    """No module is looked for from now on: paths mean the workload's files."""
    sys.path[:] = []
    sys.meta_path[:] = []
