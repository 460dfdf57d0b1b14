"""A debug session's course: the container is declared, run into, and gone again, whatever ends it.

The session is one call that stays open beside the exec. Ended in order, it asks for the container's removal and waits
for it; if we are killed or the network goes, the capsule sees the call end, and removes it by itself.
"""

import queue
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from capsule.v1 import debug_pb2 as pb
from capsulectl import terminal
from capsulectl.apart import apart
from capsulectl.connection import Connection, failures, metadata
from capsulectl.endings import in_order
from capsulectl.errors import EXEC_FAILED, TIMED_OUT, Failure
from capsulectl.exec_line import ExecLine
from capsulectl.options import Common
from capsulectl.render import say
from capsulectl.waiting import Goal, wait_for
from capsulectl.words import short_image

SHELL = ("/bin/sh",)


class Wish(NamedTuple):
    """What was asked for. An empty image is the capsule's choice, an empty command a shell."""

    image: str
    keep: bool
    command: tuple[str, ...]
    timeout: float


@contextmanager
def _not_tried() -> Iterator[None]:
    """What fails before the command begins has a code that no command's own is taken for."""
    try:
        yield
    except Failure as failure:
        raise Failure(failure.message, EXEC_FAILED) from failure


class Debugging:
    """One session."""

    def __init__(self, wish: Wish, common: Common) -> None:
        self._wish = wish
        self._common = common
        with _not_tried():
            self._connection = Connection(common.capsule)
        self._outgoing: queue.SimpleQueue[pb.DebugRequest | None] = queue.SimpleQueue()

    def run(self) -> int:
        """The command's exit code. Raises Failure, and Ended by a signal while there is no exec to take it."""
        self._outgoing.put(pb.DebugRequest(image=self._wish.image, keep=self._wish.keep))
        call = self._connection.debug.Open(iter(self._outgoing.get, None), metadata=metadata())
        name = ""
        try:
            with in_order():
                opened = self._opened(call)
                name = opened.name
                self._tell(opened)
                self._until_it_runs(name)
                return self._inside(name)
        finally:
            self._end(call, name)

    def _opened(self, call: Any) -> pb.DebugOpened:
        with _not_tried(), failures(self._connection.address):
            answer: pb.DebugOpened = apart(lambda: next(call))
        return answer

    def _tell(self, opened: pb.DebugOpened) -> None:
        quiet = self._common.quiet
        if opened.built_from:
            built = "its own programs" if opened.built_from == SHELL[0] else opened.built_from
            image = short_image(opened.image).partition("@")[0]
            say(f"{opened.name} runs {image}, built by the capsule from {built}", quiet)
        if not self._wish.command and terminal.is_terminal(0):
            say("the machine's files are under /host: `chroot /host` makes them all there is", quiet)

    def _until_it_runs(self, name: str) -> None:
        try:
            # What goes inside next notices by itself whether it lasts.
            apart(lambda: wait_for(self._connection, {name: Goal.RUNNING}, self._wish.timeout, lasts_s=0))
        except Failure as failure:
            code = failure.code if failure.code == TIMED_OUT else EXEC_FAILED
            raise Failure(failure.message, code) from failure

    def _inside(self, name: str) -> int:
        from capsulectl.session import Session

        wish, quiet = self._wish, self._common.quiet
        tty = terminal.is_terminal(0) and terminal.is_terminal(1)
        target = self._connection.target
        line = ExecLine(name, wish.command or SHELL, interactive=True, tty=tty, capsule=target, quiet=quiet)
        return Session(line).run()

    # --- its end -------------------------------------------------------------------------------------------------

    def _end(self, call: Any, name: str) -> None:
        """Ask for the removal, and wait for it. A second Ctrl-C does not wait."""
        quiet = self._common.quiet
        if self._wish.keep or not name:
            call.cancel()  # what was declared and we did not hear of goes with the call
            if name:
                ways = f"`capsulectl exec -it {name} sh` goes into it, `capsulectl delete {name}` removes it"
                say(f"{name} stays: {ways}", quiet)
            return
        self._outgoing.put(None)
        try:
            with failures(self._connection.address):
                apart(lambda: deque(call, maxlen=0))
        except Failure as failure:
            by_itself = "The capsule removes it by itself, within a minute and a half"
            say(f"{name} is not seen to be removed: {failure.message or 'the call was cut off'}. {by_itself}")
        except KeyboardInterrupt:
            say(f"{name} is being removed; `capsulectl wait --for gone {name}` waits for it", quiet)
            raise
