"""Proof that a journal is whole: every header follows the one before, every body is its header's, the tail is there.

The entries are those of LMDB and of the front log behind it, as any reader has them.

    python -m journal.verify DIRECTORY [--fold VERSION] [--head SEQ:HASH]

prints `FIRST SEQ` for every so many entries proven, and one JSON object at the end. Run it in a process of its own:
damaged pages abort the process that reads them, and a truncated file kills it with SIGBUS. See journal/apart.py.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import lmdb
import msgspec

from journal.codec import BadBody, UnknownMust, decode
from journal.entry import MalformedEntry, Stored, check
from journal.environment import HEAD
from journal.errors import JournalBusy, JournalError
from journal.gaps import Gaps
from journal.head import Head, read_head
from journal.reader import LAST, Reader

RECENT_ENTRIES = 1_000
"""How far back a start's check looks at least, whatever its snapshot stands on."""


TOLD_ENTRIES = 256
"""How often a proof says how far it has come: what it had proven when it died can still be read."""

Progress = Callable[[int, int], None]
"""Hears which entries are proven: the first and the last of them."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong, and at which entry (0 when it cannot be said)."""

    problem: str
    seq: int = 0
    stream: str = "facts"


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome. `head_seq` and `head_hash` are the newest entry's; compare them with a head kept elsewhere. `busy`
    says why nothing was looked at."""

    checked: int
    first_seq: int
    head_seq: int
    head_hash: str
    findings: tuple[Finding, ...] = ()
    excised: int = 0
    unreadable: int = 0
    busy: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def _quiet(first: int, seq: int) -> None:
    """Nobody wants to hear how far it has come."""


def verify(
    directory: Path, fold_version: int | None = None, head: Head | None = None, proven: Progress = _quiet
) -> Report:
    """Check the journal in `directory` in this process: all of it, or all that a start whose fold has this version
    goes by, which are the entries from its newest whole snapshot on. `proven` hears of facts on the way. Raises
    JournalBusy, which says nothing of the journal."""
    # Before anything else: what a daemon that writes remembers meanwhile is behind what is looked at here.
    witnesses = [witness for witness in (read_head(directory / HEAD), head) if witness is not None]
    try:
        reader = Reader.open(directory)
    except JournalBusy:
        raise
    except JournalError as error:
        return Report(0, 0, 0, "", (Finding(str(error)),))
    try:
        while True:
            began = reader.beginnings()
            report = _proof(reader, fold_version, witnesses, proven)
            # Where history was cut meanwhile it lacks what is looked for. Each turn takes another cut, a call of
            # somebody's.
            if report.whole or reader.beginnings() == began:
                return report
    except (lmdb.Error, MalformedEntry) as error:
        return Report(0, 0, 0, "", (Finding(f"the journal cannot be read: {error}"),))
    finally:
        reader.close()


def _proof(reader: Reader, fold_version: int | None, witnesses: Sequence[Head], proven: Progress) -> Report:
    snapshot = None if fold_version is None else reader.snapshot(fold_version)
    begin = 1 if fold_version is None or snapshot is None else snapshot.seq
    report = _chain(reader, "facts", begin, proven)
    audit = _chain(reader, "audit", 1 if fold_version is None else LAST)
    front = (Finding(misfit),) if (misfit := reader.misfit()) else ()
    tail = tuple(finding for witness in witnesses if (finding := _tail(reader, report, witness)))
    return msgspec.structs.replace(report, findings=report.findings + front + audit.findings + tail)


def _chain(reader: Reader, stream: str, since: int, proven: Progress = _quiet) -> Report:
    """Of the entries from `since` on, and of the newest RECENT_ENTRIES in any case."""
    last = reader.last(stream)
    if last is None:
        return Report(0, 0, 0, "")
    begin = reader.first_seq(stream)
    first = max(begin, min(since, last.header.seq - RECENT_ENTRIES + 1))
    found = map(reader.base, reader.base_seqs()) if stream == "facts" else ()
    bases = [Head(base.seq, base.head) for base in found if base is not None]
    # The audit stream is a ring: its first entry's own link is all there is to begin with.
    prev = reader.genesis if first == 1 else None
    prev = next((base.hash for base in bases if first == base.seq + 1), prev)
    entries = _told(reader.entries(first, stream=stream), first, proven)

    def went(seq: int) -> bool:
        """Whether the ring has let go of it since."""
        return stream == "audit" and seq < reader.first_seq(stream)

    report = check_entries(entries, first, prev, stream, bases, went)
    if stream == "facts" and (lost := Gaps(begin, bases).lost()):
        return msgspec.structs.replace(report, findings=(Finding(lost, begin), *report.findings))
    return report


def _told(entries: Iterable[Stored], first: int, proven: Progress) -> Iterator[Stored]:
    """The same entries: who asks for the next has proven the one before."""
    for seq, stored in enumerate(entries, first):
        if seq > first and not (seq - first) % TOLD_ENTRIES:
            proven(first, seq - 1)
        yield stored


def _kept(seq: int) -> bool:
    """Nothing went."""
    return False


def check_entries(
    entries: Iterable[Stored],
    first: int,
    prev: bytes | None,
    stream: str = "facts",
    bases: Sequence[Head] = (),
    went: Callable[[int], bool] = _kept,
) -> Report:
    """Walk `entries`, which begin at `first` behind the link `prev` (None: not known, the first entry's is taken).

    Each of `bases`, which a fold may begin with, stands on the entry that it names, and a checkpoint behind it says so.
    Where one is missing that `went` at the front of a ring meanwhile, the walk goes on with the one that came.
    """
    findings: list[Finding] = []
    gaps = Gaps(first, bases)
    checked = unreadable = 0
    seq, link = first, prev or b""
    try:
        for stored in entries:
            if stored.header.seq > seq and went(seq):
                seq, link = stored.header.seq, stored.header.prev
            wrong = check(stored, seq, stored.header.prev if prev is None and not checked else link)
            if wrong is not None:
                findings.append(Finding(wrong, seq, stream))
                break
            try:
                decode(stored)
            except UnknownMust:
                unreadable += 1
            except BadBody as error:
                findings.append(Finding(str(error), seq, stream))
            if misplaced := gaps.take(stored):
                findings.append(Finding(misplaced, seq, stream))
            checked += 1
            seq, link = seq + 1, stored.hash
    except MalformedEntry as error:
        findings.append(Finding(str(error), seq, stream))
    except JournalBusy:
        raise
    except Exception as error:  # LMDB reports damaged pages in many ways, all of them findings
        findings.append(Finding(f"the journal cannot be read behind entry {seq - 1}: {error}", seq, stream))
    if stream == "facts" and not findings:  # what announces a removal stands behind it, or it was not come to
        findings = [Finding(wrong, at) for at, wrong in gaps.unannounced()]
    if not findings:
        findings = [Finding(wrong, at) for at, wrong in gaps.unvouched()]
    return Report(checked, first, seq - 1, link.hex(), tuple(findings), len(gaps.removed), unreadable)


def _tail(reader: Reader, report: Report, witness: Head) -> Finding | None:
    if witness.seq == 0:
        return None
    stored = reader.get(witness.seq)
    if stored is None and witness.seq > report.head_seq:
        return Finding(
            f"the tail is cut: entry {witness.seq} was written and the journal now ends at {report.head_seq}",
            witness.seq,
        )
    if stored is not None and stored.hash != witness.hash:
        return Finding(f"entry {witness.seq} is not the one that was remembered: history was rewritten", witness.seq)
    return None


def _main(arguments: list[str]) -> None:
    directory, options = Path(arguments[0]), dict(zip(arguments[1::2], arguments[2::2], strict=True))
    head = None
    if "--head" in options:
        seq, digest = options["--head"].split(":")
        head = Head(int(seq), bytes.fromhex(digest))
    fold_version = int(options["--fold"]) if "--fold" in options else None

    def proven(first: int, seq: int) -> None:
        print(first, seq, flush=True)

    try:
        report = verify(directory, fold_version, head, proven)
    except JournalBusy as busy:
        report = Report(0, 0, 0, "", busy=str(busy))
    print(msgspec.json.encode(report).decode())


if __name__ == "__main__":
    _main(sys.argv[1:])
