"""Heads of journals, kept on this side: what a machine's memory was seen to be, which it cannot take back unnoticed.

One small file a machine below the configuration, `heads/NAME`: journal, number and hash in a line. With each call the
machine is asked what stands where the newest entry stood that was seen here (capsuled/heads.py). Another entry, or
none, means that the journal was put back, cut or edited: that is said, loudly and each time, until it is accepted
(`capsulectl journal accept`). What the journal itself explains is said once: it was taken over from an archive, or is
another machine's. Beside the head stand the restores that were behind it when it was seen, by their times: what was
seen after one, that one does not explain. Every command begins with this: it loads nothing for it that the others do
not need.

    heads/NAME              journal, number and hash, by spaces
    heads/NAME.restored     the restores' times, by spaces; not there where they were not told of
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

_NAME_CHARS = 240
HEAD, THEN, RESTORED = "capsule-head", "capsule-head-then", "capsule-head-restored"
_RESTORES = 16


class Seen(NamedTuple):
    """The newest entry that was seen: its journal, number and hash. `restored`: when journals that were seen here were
    taken over from archives, up to then, by their own entries; None where that is not known."""

    journal: str
    seq: int
    hash: str
    restored: tuple[int, ...] | None = None


class Told(NamedTuple):
    """What a machine says: where its journal begins and ends, what stands where ours stood (empty: nothing), and when
    it was taken over from archives (None: it does not say)."""

    journal: str
    first_seq: int
    seq: int
    hash: str
    then: str
    restored: tuple[int, ...] | None = None


NONE = Seen("", 0, "")


class Question(NamedTuple):
    """What goes with one call. Of several that are on their way at once, each answer is about its own."""

    seen: Seen

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """As the call carries it."""
        return ((HEAD, str(self.seen.seq)),)


def told_in(metadata: Iterable[tuple[str, Any]] | None) -> Told | None:
    """What stands beside an answer, if anything does."""
    found = {key: value for key, value in metadata or () if key in (HEAD, THEN, RESTORED)}
    parts = str(found.get(HEAD, "")).split()
    if len(parts) != 4 or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    restored = _times(str(found[RESTORED]).split()) if RESTORED in found else None
    return Told(parts[0], int(parts[1]), int(parts[2]), parts[3], str(found.get(THEN, "")), restored)


def _times(words: list[str]) -> tuple[int, ...]:
    return tuple(int(word) for word in words if word.isascii() and word.isdigit())


class Heads:
    """Of one machine, in one run of the command line. `explained` asks the machine why its journal is another;
    `first_seq` is where its history begins, 0 before it said so."""

    def __init__(self, machine: str, explained: Callable[[Seen, Told], str]) -> None:
        self._file = _file_of(machine)
        self._explained = explained
        self._seen = load(machine)
        self.first_seq = 0
        self._warned = self._asking = False

    def question(self) -> Question:
        """For the next call: about the newest entry that was seen so far."""
        return Question(self._seen)

    def rest(self) -> None:
        """What is told from now on is not compared: it is another journal, as was asked for, or nobody would see."""
        self._warned = True

    def hear(self, told: Told | None, question: Question) -> None:
        """Compare with what was asked, and keep what is newer."""
        seen = question.seen
        self.first_seq = self.first_seq if told is None else told.first_seq
        if told is None or self._warned or self._asking:
            return
        if seen.seq and not fits(seen, told):
            self._asking = True
            try:
                why = self._explained(seen, told)
            finally:
                self._asking = False
            if not why:
                self._warned = True
                _warn(seen, told)
                return
            from capsulectl.render import say

            say(f"capsulectl: {why}")
        before = self._seen
        if before.journal != told.journal or told.seq > before.seq or not fits(seen, told):
            self._seen = Seen(told.journal, told.seq, told.hash)
        elif told.restored is None:
            return
        if told.restored is not None:
            restored = tuple(dict.fromkeys((*told.restored, *(before.restored or ()))))
            self._seen = self._seen._replace(restored=restored[:_RESTORES])
        if self._seen != before:
            with contextlib.suppress(OSError):
                _keep(self._file, self._seen)


def fits(seen: Seen, told: Told) -> bool:
    """Whether the journal is the one that was seen, further on. What was cut behind a checkpoint is not there any more;
    that what is left follows it is `journal verify`'s to prove."""
    if seen.journal and seen.journal != told.journal:
        return False
    return seen.hash == told.then or seen.seq < told.first_seq


def _warn(seen: Seen, told: Told) -> None:
    if seen.journal and seen.journal != told.journal:
        what = "it has another journal than the one that was seen here"
    elif told.seq < seen.seq:
        what = f"its journal ends at entry {told.seq}, and entry {seen.seq} was seen here: it was put back, or cut"
    else:
        what = f"entry {seen.seq} of its journal is not the one that was seen here: history was rewritten"
    print(
        f"capsulectl: WARNING: {what}.\n"
        "Somebody put an older or another state in its place, or altered it; nothing in the journal says why.\n"
        "  capsulectl journal verify    proves it against what was seen here\n"
        "  capsulectl journal accept    takes it as it is now, if you know the reason",
        file=sys.stderr,
    )


def load(machine: str) -> Seen:
    """What was seen of a machine last."""
    try:
        file = _file_of(machine)
        journal, seq, digest = file.read_text().split()
        seen = Seen(journal, int(seq), digest)
    except (OSError, ValueError):
        return NONE
    with contextlib.suppress(OSError):
        seen = seen._replace(restored=_times(_restores_of(file).read_text().split()))
    return seen


def kept_at_ns(machine: str) -> int:
    """When that was, by this side's clock; 0 where nothing was kept."""
    try:
        return _file_of(machine).stat().st_mtime_ns
    except OSError:
        return 0


def keep(machine: str, seen: Seen) -> None:
    """Whatever was seen before, from now on it is this. Raises OSError."""
    _keep(_file_of(machine), seen)


def _keep(file: Path, seen: Seen) -> None:
    """Not synced: it only has to be some head that was once seen."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if seen.restored is None:
        _restores_of(file).unlink(missing_ok=True)
    else:
        _put(_restores_of(file), " ".join(map(str, seen.restored)))
    _put(file, f"{seen.journal} {seen.seq} {seen.hash}")


def _put(file: Path, line: str) -> None:
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    scratch.write_text(f"{line}\n")
    os.replace(scratch, file)


def _restores_of(file: Path) -> Path:
    """Beside it: an earlier capsulectl reads three words in the file itself, and takes any more for none."""
    return file.with_name(f"{file.name}.restored")


def _file_of(machine: str) -> Path:
    from capsulectl.contexts import config_dir

    # Its end tells sockets from each other, and a file's name has 255 bytes.
    return config_dir() / "heads" / os.fsencode(machine).hex()[-_NAME_CHARS:]
