"""After the power is back: is everything there that was acknowledged, and nothing half there?

    python -m tests.support.power.judge IMAGE MOUNT LEDGER ACKNOWLEDGED          prints one JSON object

Runs in a process of its own (see disk.apart): what is damaged enough kills whoever reads it.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec

from capsuled.memory import recall, replay_journal
from capsuled.sealing import SealBroken, Vault
from journal.clock import SystemClock
from journal.entry import LOCAL
from journal.environment import Environment
from journal.errors import JournalError
from journal.events import CallAccepted
from journal.reader import Reader
from journal.sequencer import Draft
from journal.verify import verify
from journal.writer import Journal
from projections.state import Machine
from projections.views import state_hash
from tests.support.power.disk import Damage, powered_on
from tests.support.power.ledger import lines
from tests.support.power.life import KEY


class Verdict(msgspec.Struct, frozen=True):
    """What was found; `wrong` is empty when all is well."""

    entries: int
    acknowledged: int
    wrong: tuple[str, ...] = ()


def judge(directory: Path, ledger: Path, acknowledged: int) -> Verdict:
    """Check the journal and the sealed values in `directory` against the first `acknowledged` answers of the ledger."""
    ends, answers = _promises(ledger, acknowledged)
    try:
        report = verify(directory / "journal")
        wrong = [finding.problem for finding in report.findings]
        reader = Reader.open(directory / "journal")
    except JournalError as error:
        return Verdict(0, acknowledged, (str(error),))
    try:
        replayed, machine = replay_journal(reader)
        wrong += [replayed.problem] if replayed.problem else []
        wrong += _missing(reader, answers)
        wrong += _state(reader, machine, ends)
        wrong += _indexes(reader)
    finally:
        reader.close()
    wrong += _unsealed(machine, Vault(directory / "sealed", KEY))
    if not wrong:
        wrong += asyncio.run(_next_life(directory, replayed.seq))
    return Verdict(replayed.seq, acknowledged, tuple(wrong))


def _promises(ledger: Path, acknowledged: int) -> tuple[dict[int, dict[str, Any]], list[dict[str, Any]]]:
    written = lines(ledger)
    ends = {line["end"]: line for line in written if "end" in line}
    return ends, [line for line in written if line.get("ack", acknowledged + 1) <= acknowledged]


def _missing(reader: Reader, answers: list[dict[str, Any]]) -> list[str]:
    """Every acknowledged call stands where it was said to stand."""
    last = reader.last()
    head = 0 if last is None else last.header.seq
    lost = [one for one in answers if one["seq"] > head]
    if lost:
        return [f"{len(lost)} acknowledged calls are lost: the first is {lost[0]['id']} at {lost[0]['seq']}, of {head}"]
    wrong = []
    for one in answers:
        stored = reader.get(one["seq"])
        body = {} if stored is None else msgspec.msgpack.decode(stored.body)
        if body.get("call_id") != one["id"]:
            wrong.append(f"entry {one['seq']} is not the call {one['id']} that was acknowledged there")
    return wrong


def _state(reader: Reader, machine: Machine, ends: dict[int, dict[str, Any]]) -> list[str]:
    """The journal ends where a batch ended, with that batch's own hashes: no batch is on the disk in part."""
    last = reader.last()
    if last is None:
        return []
    promised = ends.get(last.header.seq)
    if promised is None:
        return [f"the journal ends at {last.header.seq}, in the middle of a batch"]
    wrong = []
    if promised["link"] != last.hash.hex():
        wrong.append(f"entry {last.header.seq} is not the one that was written")
    if promised["hash"] != state_hash(machine):
        wrong.append(f"the state at {last.header.seq} is not the one that was acknowledged")
    if state_hash(recall(reader).machine) != promised["hash"]:
        wrong.append("the state by way of the newest snapshot is another one than the fold of all entries")
    return wrong


def _indexes(reader: Reader) -> list[str]:
    by_type: dict[str, int] = {}
    for stored in reader.entries():
        by_type[stored.header.type] = by_type.get(stored.header.type, 0) + 1
    return [] if reader.types() == by_type else [f"the index says {reader.types()}, the entries {by_type}"]


def _unsealed(machine: Machine, vault: Vault) -> list[str]:
    wrong = []
    for workload in machine.workloads.values():
        try:
            vault.environment(workload.spec)
        except SealBroken as broken:
            wrong.append(f"{workload.name}: {broken}")
    return wrong


async def _next_life(directory: Path, seq: int) -> list[str]:
    """The next daemon goes on where the journal ends."""
    try:
        journal = Journal(Environment(directory / "journal"), SystemClock())
        journal.append([Draft(CallAccepted("Next.Life"), LOCAL)])
        await journal.durable(seq + 1)
        await journal.close()
    except JournalError as error:
        return [f"the next life cannot write: {error}"]
    report = verify(directory / "journal")
    return [f"after the next life: {finding.problem}" for finding in report.findings]


def _main(image: Path, mount: Path, ledger: Path, acknowledged: int) -> None:
    try:
        with powered_on(image, mount):
            verdict = judge(mount, ledger, acknowledged)
    except Damage as damage:
        verdict = Verdict(0, acknowledged, (str(damage),))
    print(msgspec.json.encode(verdict).decode())


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
