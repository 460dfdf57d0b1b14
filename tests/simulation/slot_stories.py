"""A seed's story of updates: good systems and bad ones, words in every order, and power that goes at any step; what must
be so once nobody cuts it any more.
"""

import asyncio
from random import Random

from capsuled.updates.receiving import Options
from journal.events import UpdateConfirmed, UpdateReturning, UpdateRolledBack, VolumeRestored
from projections.update_phases import ENDS, UpdatePhase
from tests.simulation.slot_judge import judge_words
from tests.simulation.slots import BEHAVIOURS, NEWER, VOLUME, WINDOW_S, Box, Life
from tests.simulation.time import unswept
from tests.simulation.unsure import Unsure

EVERY = 4
"""So many seeds share a story of updates."""
AGAIN = Options(window_s=WINDOW_S, retry=True)
BY_ITSELF = Options(window_s=WINDOW_S, confirm_when="healthy", soak_s=5)
FREEZING = [Life(push=NEWER), Life(), Life(goes_back=True, freezes=True)]
"""After these the first system is on trial, and cannot read what stands in the journal."""
THAWING = [Life(push=NEWER, options=AGAIN), Life(), Life(confirms=False)]
UNSURE: tuple[Unsure, ...] = ("", "", "", "before", "behind", "behind")


@unswept()
def told(seed: int) -> Box:
    """Lived and judged. Raises AssertionError."""
    box = asyncio.run(_lived(seed))
    try:
        judge_end(box)
        judge_words(box)
        confirmed = [event.uid for _, event in box.stored if isinstance(event, UpdateConfirmed)]
        assert len(confirmed) == len(set(confirmed)), "one was confirmed twice"
        left = {event.uid for _, event in box.stored if isinstance(event, UpdateRolledBack) and not event.runs}
        returning = [event for _, event in box.stored if isinstance(event, UpdateReturning) and event.with_data]
        asked = [event for event in returning if event.uid in left]
        tried = [one for one in box.machine.updates.values() if one.data_of and one.boot]
        # One that could not write has had no workload on its volumes: those are brought back if it stayed.
        asked_by_trial = [one for one in tried if one.boot not in box.closed or one.phase is UpdatePhase.CONFIRMED]
        brought = [event for _, event in box.stored if isinstance(event, VolumeRestored)]
        assert len(brought) == len(asked) + len(asked_by_trial), "a volume came back without a word, or did not"
    except AssertionError as error:
        raise AssertionError(f"updates of seed {seed}: {error}; {box.boots}; {box.trail[-12:]}") from error
    return box


async def _lived(seed: int) -> Box:
    chance, firmware = Random(seed), Random(f"the firmware of {seed}")
    loader, arming = Random(f"the loader of {seed}"), Random(f"the arming of {seed}")
    lies = Random(f"the lies of {seed}").random() < 0.2
    # What ends before anybody can take the one-shot back is booted for ever there.
    pushed = [one for one in (*BEHAVIOURS, NEWER) if one != "panics" or not lies]
    box = Box(lies=lies)
    if chance.random() < 0.4:
        for life in FREEZING:
            await box.boot(life)
    for number in range(chance.randint(2, 5)):
        box.cut_at = box.steps + chance.randint(1, 60)
        keeps = (VOLUME,) if chance.random() < 0.4 else ()
        options = Options(
            window_s=WINDOW_S,
            confirm_when=chance.choice(("operator", "healthy")),
            soak_s=5,
            retry=chance.random() < 0.5,
            keeps=keeps,
            snapshot=f"before-update-{number}" if keeps else "",
        )
        goes_back = chance.random() < 0.3
        await box.boot(
            Life(
                push="" if goes_back else chance.choice(pushed),
                goes_back=goes_back,
                freezes=chance.random() < 0.7,
                with_data=chance.random() < 0.3,
                closed=chance.random() < 0.15,
                mute=firmware.random() < 0.15,
                unread=firmware.random() < 0.1,
                damaged=firmware.random() < 0.08,
                unsure=arming.choice(UNSURE),
                options=options,
            )
        )
        unsure = loader.choice(UNSURE)
        if unsure and loader.random() < 0.8:
            box.cut_at = 0  # it tries again until its time is over
        await box.boot(
            Life(
                confirms=chance.random() < 0.7,
                goes_back=chance.random() < 0.3,
                with_data=chance.random() < 0.5,
                hesitates=chance.randint(0, 20),
                closed=chance.random() < 0.15,
                mute=firmware.random() < 0.15,
                unread=firmware.random() < 0.1,
                damaged=firmware.random() < 0.08,
                unsure=unsure,
            )
        )
    box.cut_at = 0
    for life in (Life(confirms=False), *THAWING):
        await box.boot(life)
    return box


def judge_end(box: Box) -> None:
    """Two boots after the last cut: nothing is under way, the loader boots what the journal says, and it is known why
    whatever went back did."""
    machine = box.machine
    phases = [update.phase for update in machine.updates.values()]
    assert all(phase in ENDS for phase in phases), phases
    assert box.disk.state.next_slot is None
    assert machine.slots.active == machine.slots.default == box.disk.state.default_slot
    assert not box.side_log.records(), "what stands beside the journal was not told to it"
    for _, event in box.stored:
        if isinstance(event, UpdateRolledBack):
            assert event.cause != "unknown" or event.looked_for
