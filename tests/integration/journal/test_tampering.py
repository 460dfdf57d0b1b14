"""Whoever has the disk in hand: a thousand edits, drops, insertions, reorderings and cut tails of real files, all found.

They are made in LMDB's file and in the front log, by somebody who knows both formats and leaves no page damaged. What is
found is found by `journal verify`, which the newest entry's hash was kept for, as `capsulectl` keeps it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import lmdb

from journal.entry import HASH_BYTES, LOCAL, SALT_BYTES, encode_header, pack, unpack
from journal.environment import DATABASES, FRONT_LOG, FRONT_MARK, Environment
from journal.events import CallAccepted, EffectDone
from journal.frame import BLOCK_BYTES, find
from journal.head import Head
from journal.reader import Reader
from journal.sequencer import Draft
from journal.verify import verify
from journal.writer import Journal
from tests.support.clock import HandClock
from tests.support.entries import edited, left_by_a_crash, value_of

ENTRIES = 60
BATCH = 4
TRIES = 1_000
SEED = 10
Change = Callable[[list[bytes], Random], list[bytes]]


async def fill(journal: Journal) -> None:
    for number in range(0, ENTRIES, BATCH):
        call = Draft(CallAccepted("Test.Call", (f"object-{number % 7}",), call_id=f"call-{number}"), LOCAL)
        journal.append(
            [call, *[Draft(EffectDone("StartRun", f"object-{number % 7}", number + 1, 1), LOCAL)] * (BATCH - 1)]
        )
        await journal.durable(journal.seq)


# --- what somebody does to the entries -------------------------------------------------------------------------------


def edit_header(values: list[bytes], random: Random) -> list[bytes]:
    """Some bytes of what is said of it: who, when, what it led to."""
    at = random.randrange(len(values))
    header = unpack(values[at]).header
    fields = {"at": header.at + 1, "mono": header.mono + 1, "cause": header.cause + 1, "call": header.call + 1,
              "boot": "another", "release": "9", "actor": LOCAL if header.actor != LOCAL else header.actor}  # fmt: skip
    name = random.choice([name for name, value in fields.items() if getattr(header, name) != value])
    return [*values[:at], value_of(edited(unpack(values[at]), **{name: fields[name]})), *values[at + 1 :]]


def edit_content(values: list[bytes], random: Random) -> list[bytes]:
    """One byte of what it says, or of its salt; or both are gone, as if it had been excised."""
    at = random.randrange(len(values))
    stored = unpack(values[at])
    begins = len(values[at]) - len(stored.body) - SALT_BYTES
    place = random.randrange(begins, len(values[at]) + 1)
    if place == len(values[at]):
        other = values[at][:begins]
    else:
        other = values[at][:place] + bytes([values[at][place] ^ (1 << random.randrange(8))]) + values[at][place + 1 :]
    return [*values[:at], other, *values[at + 1 :]]


def edit_with_its_hash(values: list[bytes], random: Random) -> list[bytes]:
    """What it says, and the hash in its own header to fit; the next one does not know of it."""
    at = random.randrange(len(values))
    stored = unpack(values[at])
    other = bytes(random.choices(range(256), k=HASH_BYTES))
    header = encode_header(edited(stored, body_hash=other).header)
    return [*values[:at], pack(header, stored.salt, stored.body), *values[at + 1 :]]


def drop(values: list[bytes], random: Random) -> list[bytes]:
    """Some in a row, and those behind take their numbers."""
    at = random.randrange(len(values) - 5)
    gone = random.randint(1, 5)
    behind = [value_of(edited(stored, seq=stored.header.seq - gone)) for stored in map(unpack, values[at + gone :])]
    return [*values[:at], *(behind if random.random() < 0.5 else values[at + gone :])]


def insert(values: list[bytes], random: Random) -> list[bytes]:
    """One of them a second time, under the number that is due there."""
    at = random.randrange(1, len(values))
    copy = edited(unpack(random.choice(values)), seq=at + 1, prev=unpack(values[at - 1]).hash)
    behind = [value_of(edited(stored, seq=stored.header.seq + 1)) for stored in map(unpack, values[at:])]
    return [*values[:at], value_of(copy), *behind]


def reorder(values: list[bytes], random: Random) -> list[bytes]:
    """Two change places, and perhaps numbers."""
    one, other = sorted(random.sample(range(len(values)), 2))
    first, second = values[other], values[one]
    if random.random() < 0.5:
        first, second = (value_of(edited(unpack(value), seq=at + 1)) for value, at in ((first, one), (second, other)))
    return [*values[:one], first, *values[one + 1 : other], second, *values[other + 1 :]]


def cut(values: list[bytes], random: Random) -> list[bytes]:
    """The newest are gone."""
    return values[: random.randrange(len(values))]


CHANGES: tuple[Change, ...] = (edit_header, edit_content, edit_with_its_hash, drop, insert, reorder, cut)


# --- in the files ----------------------------------------------------------------------------------------------------


class Files:
    """A journal that nobody has open, whose entries were all moved; the front log holds none of them."""

    def __init__(self, directory: Path) -> None:
        async def live() -> None:
            journal = Journal(Environment(directory), HandClock())
            await fill(journal)
            await journal.close()

        asyncio.run(live())
        log = (directory / FRONT_LOG).read_bytes()
        (directory / FRONT_LOG).write_bytes(log[:BLOCK_BYTES] + bytes(len(log) - BLOCK_BYTES))
        reader = Reader.open(directory)
        self.values = list(reader.values())
        reader.close()
        self.directory = directory
        newest = unpack(self.values[-1])
        self.head = Head(newest.header.seq, newest.hash)

    def put(self, values: list[bytes]) -> None:
        """These entries instead of those that are there."""
        with lmdb.open(str(self.directory), max_dbs=len(DATABASES), sync=False, map_size=256 << 20) as environment:
            facts = environment.open_db(b"facts", create=False)
            with environment.begin(write=True, db=facts) as txn:
                txn.drop(facts, delete=False)
                with txn.cursor(facts) as cursor:
                    cursor.putmulti((seq.to_bytes(8, "big"), value) for seq, value in enumerate(values, 1))


def test_every_entry_that_was_tampered_with_in_the_file_is_found(tmp_path: Path) -> None:
    files, random, missed, made = Files(tmp_path / "journal"), Random(SEED), [], Counter[str]()
    for number in range(TRIES):
        change = CHANGES[number % len(CHANGES)]
        tampered = change(files.values, random)
        assert tampered != files.values, change.__name__
        files.put(tampered)
        made[change.__name__] += 1
        if verify(files.directory, head=files.head).whole:
            missed.append((number, change.__name__))
    assert not missed, f"of {made} were not found (seed {SEED}): {missed}"
    files.put(files.values)
    assert verify(files.directory, head=files.head).whole


def test_every_bit_of_the_front_log_that_is_another_is_found(tmp_path: Path) -> None:
    """Of entries that stand there alone: a group that is not whole any more was once written, and the head knows it."""
    directory, random, missed = tmp_path / "left", Random(SEED), []
    left_by_a_crash(tmp_path / "journal", directory, fill)
    log, reader = directory / FRONT_LOG, Reader.open(directory)
    mark, newest = reader.meta(FRONT_MARK), reader.last()
    reader.close()
    used = log.read_bytes().rstrip(b"\0")
    whole = used + bytes(-len(used) % BLOCK_BYTES)
    assert mark is not None and newest is not None and newest.header.seq == ENTRIES
    head = Head(newest.header.seq, newest.hash)
    groups = [one.frame for one in find(whole, mark, 0) if one.frame is not None]
    places = [whole.index(value) for frame in groups for value in frame.values]
    for number in range(TRIES // 5):
        entry = random.randrange(ENTRIES)
        at = places[entry] + random.randrange(len(groups[entry // BATCH].values[entry % BATCH]))
        log.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << random.randrange(8))]) + whole[at + 1 :])
        if verify(directory, head=head).whole:
            missed.append((number, at))
    assert not missed, f"not found (seed {SEED}): {missed}"
    log.write_bytes(whole)
    assert verify(directory, head=head).whole
