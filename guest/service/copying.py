"""Copies into and out of the payload's file system: a process of the `copies` package enters it, as on a machine it
enters a container's, and what goes over its pipe goes over the channel.
"""

import contextlib
import os
import socket
from collections.abc import Iterator

from capsule.guest.v1 import guest_pb2 as pb
from copies.inside import COMMIT, LINE, Request
from guest.service.link import Link, Process
from guest.service.refusals import Refusal

PIECE = 64 << 10
_ANSWER_BYTES = 1 << 16
_END_S = 10.0
"""For its process to remove what it has not brought to its place. Then it is killed."""


class Copying:
    """One copy, in either way: `to` or `from` the payload."""

    def __init__(self, link: Link, way: str, path: str) -> None:
        """Raises Refusal when there is nobody to do it."""
        self._link = link
        self._control, theirs = socket.socketpair()
        reading, writing = os.pipe()
        self._pipe, other = (writing, reading) if way == "to" else (reading, writing)
        self._answers = b""
        try:
            self._process: Process = link.start({"do": "copy"}, (theirs.fileno(), other))
            self._control.sendall(Request(way, link.introduction.name, path).packed())
        except BaseException:
            self._control.close()
            self._close_pipe()
            raise
        finally:
            theirs.close()
            os.close(other)
        link.at_end(self.call_off)

    def ready(self) -> pb.CopyServerMessage:
        """Bytes may move. Raises Refusal."""
        self._expected("ready")
        return pb.CopyServerMessage(ready=pb.CopyReady())

    def take(self, messages: Iterator[pb.CopyInClientMessage]) -> pb.CopyServerMessage:
        """What the client sends, to its commit. Raises Refusal."""
        for message in messages:
            if message.WhichOneof("message") == "commit":
                self._close_pipe()
                with contextlib.suppress(OSError):
                    self._control.send(COMMIT)
                return self._done()
            try:
                _write(self._pipe, message.data)
            except BrokenPipeError:
                self._expected("done")  # it says why
                raise _died() from None
        raise Refusal("CALLED_OFF", "the copy was called off: nothing was changed")

    def pieces(self) -> Iterator[pb.CopyServerMessage]:
        """The archive, and what came of it. Raises Refusal."""
        while data := os.read(self._pipe, PIECE):
            yield pb.CopyServerMessage(data=data)
        yield self._done()

    def call_off(self) -> None:
        """Nobody waits for it any more: if it is not done, it comes to nothing."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Of a copy that was not finished nothing is left when this returns: its process sees to it itself."""
        self._link.not_at_end(self.call_off)
        self._close_pipe()
        self.call_off()
        self._process.ended.wait(_END_S)
        self._control.close()
        self._link.end(self._process)

    def _done(self) -> pb.CopyServerMessage:
        entries, left_out, changed, moved = (int(field) for field in self._expected("done"))
        return pb.CopyServerMessage(done=pb.CopyDone(entries=entries, left_out=left_out, changed=changed, moved=moved))

    def _expected(self, word: str) -> list[str]:
        """The fields of the next answer. Raises Refusal for what it refuses."""
        said, *fields = self._answer()
        if said == word:
            return fields
        if said != "refused" or len(fields) != 3:
            raise _died()
        reason, message, moved = fields
        raise Refusal(reason, message, int(moved))

    def _answer(self) -> list[str]:
        while LINE not in self._answers:
            try:
                more = self._control.recv(_ANSWER_BYTES)
            except ConnectionResetError:
                more = b""
            if not more:
                raise _died()
            self._answers += more
        line, _, self._answers = self._answers.partition(LINE)
        return line.decode(errors="replace").split("\0")

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def _write(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _died() -> Refusal:
    return Refusal("COPY_FAILED", "what copies in the microVM has died: `capsulectl logs --serial` may tell why")
