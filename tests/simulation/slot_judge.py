"""What has to be so at each boot of a machine with two slots. It knows bundles and slots, and none of the house's rules."""

from typing import TYPE_CHECKING

from capsuled.engine import Engine
from capsuled.updates.noted import known
from effects.slots.protocol import Slot
from journal.events import (
    UpdateArming,
    UpdateBegun,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateDisarmed,
    UpdateReturning,
)
from projections.update_reconcile import Booted, Reconciled

if TYPE_CHECKING:
    from tests.simulation.slots import Box


def is_whole(box: "Box", slot: Slot) -> bool:
    """Both of its members are one system's."""
    root, boot = (box.disk.content.get((slot, member), b"") for member in ("root.img", "boot.img"))
    return root in box.whole and boot == b"boot"


def judge_choice(box: "Box", slot: Slot, default: Slot, update: int) -> None:
    """Whatever happened: the machine boots something whole, its default changed only where that was announced, and what is
    on trial is what was told to be; who goes back comes to what ran there once, in its own right."""
    assert is_whole(box, slot), (slot, box.system(slot)[:40])
    aside = [draft.event for _, draft in known(box.side_log)]
    told = [*(event for _, event in box.stored), *aside]
    slots = {event.uid: event.slot for event in aside if isinstance(event, UpdateBegun)}
    slots |= {uid: update.slot for uid, update in box.machine.updates.items()}
    announced = {slots[event.uid] for event in told if isinstance(event, UpdateConfirming)}
    # What ran in place of the default, before the slot beside it was written.
    announced |= {event.from_slot for event in told if isinstance(event, UpdateBegun)}
    assert default == "slot_a" or default in announced, "the default was changed without a durable announcement"
    assert not update or update in {event.uid for event in told if isinstance(event, UpdateArming)}, (
        f"update {update} is on trial without a durable word of it"
    )
    dropped = {event.uid for event in told if isinstance(event, UpdateDisarmed) and event.reason == "write-failed"}
    assert update not in dropped, f"update {update} was told to be dropped, and is booted"
    backs = {
        event.uid or header.seq
        for header, event in box.stored
        if isinstance(event, UpdateBegun) and event.kind == "rollback"
    }
    assert update not in backs or box.system(slot) in box.settled, (
        f"what is gone back to never ran: {box.system(slot)[:40]}"
    )
    last = next((one for one in reversed(told) if isinstance(one, UpdateBegun | UpdateConfirmed)), None)
    if isinstance(last, UpdateConfirmed) and not box.damaged:
        assert default == last.slot, f"{last.slot} was told to be here to stay, and {default} boots"


def judge_writing(box: "Box") -> None:
    """Right before a slot is written: it is the one beside what runs, and nothing but what runs would be booted."""
    state = box.disk.state
    assert state.next_slot is None, f"{state.next_slot} is written, and would be booted once"
    assert state.default_slot == box.boots[-1][0], f"{state.default_slot} is written, and boots by itself"


def judge_told(box: "Box", engine: Engine, remembers: bool, booted: Booted, found: Reconciled) -> None:
    """What a start has told is as the machine is: which slot boots, and of which it is said that it is left or here to
    stay. `remembers`: it was told to the journal, or could be."""
    slots, default = engine.machine.slots, box.disk.state.default_slot
    if engine.closed is None and (remembers or booted.update):
        assert (slots.active, slots.default) == (booted.slot, default), (slots, default)
    stays = [event.slot for event in found.events if isinstance(event, UpdateConfirmed)]
    assert not stays or stays == [booted.slot] == [default], "it is not the default, and said to be"
    if found.back is not None:
        assert found.runs == (booted.slot if found.back.slot == booted.slot else ""), "what runs was not left"


def judge_guessed(found: Reconciled, intended: set[int]) -> None:
    """Where the boot loader had nothing to go by, nothing is here to stay but what was just being made so."""
    stays = {event.uid for event in found.events if isinstance(event, UpdateConfirmed)}
    assert stays <= intended, "what runs by chance is told to be confirmed"


def judge_words(box: "Box") -> None:
    """What was told to be left is not told to stay, unless the boot loader had nothing to go by."""
    left: set[int] = set()
    for _, event in box.stored:
        if isinstance(event, UpdateReturning):
            left.add(event.uid)
        elif isinstance(event, UpdateConfirmed) and not box.damaged:
            assert event.uid not in left, f"update {event.uid} was left, and is told to be here to stay"
            assert event.uid not in box.ill, f"update {event.uid} was ill on trial, and is told to be here to stay"
