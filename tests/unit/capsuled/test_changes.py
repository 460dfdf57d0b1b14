"""Who follows the state: woken by the entries it asked for, once they are durable, and by no others."""

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from capsuled.engine import Engine
from capsuled.names import NAMING, addresses_of
from journal.entry import LOCAL, Header
from journal.events import DaemonStopped, Event, OperatorRemoved, OperatorsReset, type_of
from projections.fold import fold
from projections.network import in_use
from projections.operators import HANDLERS
from projections.state import Machine
from tests.support.chance import events, histories
from tests.support.clock import HandClock
from tests.support.story import Story
from tests.unit.capsuled.test_call_ids import Ledger

SOMETHING = DaemonStopped(reason="asked to")
RESET = OperatorsReset(reason="asked for")


def following(*kinds: type[Event]) -> Callable[[Callable[[Engine, Ledger, list[int]], Awaitable[None]]], None]:
    """Run a story beside one who notes the seq of every state that he is shown."""

    def run(story: Callable[[Engine, Ledger, list[int]], Awaitable[None]]) -> None:
        async def main() -> None:
            clock = HandClock()
            log = Ledger(clock)
            engine = Engine(log, Machine(), clock, frozenset())
            shown: list[int] = []

            async def follow() -> None:
                async for machine in engine.changes(*kinds):
                    shown.append(machine.seq)

            task = asyncio.create_task(follow())
            await settled()
            await story(engine, log, shown)
            task.cancel()

        asyncio.run(main())

    return run


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_every_change_is_shown_to_who_names_no_kind() -> None:
    @following()
    async def story(engine: Engine, log: Ledger, shown: list[int]) -> None:
        for event in (SOMETHING, RESET):
            engine.record((event,))
            await settled()
        assert shown == [0, 1, 2]


def test_only_entries_of_the_kinds_that_were_named_are_changes_also_in_a_batch_with_others() -> None:
    @following(OperatorsReset, OperatorRemoved)
    async def story(engine: Engine, log: Ledger, shown: list[int]) -> None:
        for batch in ((SOMETHING,), (SOMETHING, RESET), (SOMETHING,), (OperatorRemoved(kid="k"),)):
            engine.record(batch)
            await settled()
        assert shown == [0, 3, 5]


def test_a_change_is_shown_when_it_is_durable_and_one_that_comes_meanwhile_is_not_missed() -> None:
    @following(OperatorsReset)
    async def story(engine: Engine, log: Ledger, shown: list[int]) -> None:
        log.gate.clear()
        engine.record((RESET,))
        await settled()
        engine.record((RESET,))
        await settled()
        assert shown == [0]
        log.gate.set()
        await settled()
        assert shown[-1] == 2


def test_the_state_after_each_batch_is_given_to_who_asked_for_it() -> None:
    async def main() -> None:
        clock = HandClock()
        engine = Engine(Ledger(clock), Machine(), clock, frozenset())
        seqs: list[int] = []
        engine.on_commit(lambda machine: seqs.append(machine.seq))
        engine.record((SOMETHING,))
        engine.record((SOMETHING, RESET))
        assert seqs == [1, 3]

    asyncio.run(main())


@settings(max_examples=60, deadline=None)
@given(histories())
def test_no_event_changes_a_workloads_name_but_those_that_are_followed_for_names(story: Story) -> None:
    machine = story.beginning.fork()
    for header, event in story.entries:
        before = addresses_of(machine, "gateway"), in_use(machine)
        fold(machine, header, event)
        assert isinstance(event, NAMING) or (addresses_of(machine, "gateway"), in_use(machine)) == before


@settings(max_examples=60, deadline=None)
@given(st.lists(events(), max_size=30))
def test_no_event_changes_who_may_come_in_but_those_that_are_followed_for_keys(told: list[Event]) -> None:
    machine = Machine()
    for event in told:
        before = dict(machine.operators)
        fold(machine, next_header(machine, event), event)
        assert type(event) in HANDLERS or machine.operators == before


def next_header(machine: Machine, event: Event) -> Header:
    return Header(
        machine.seq + 1, 1, "boot", 1, "0.0.1", "", LOCAL, 0, 0, type_of(event), event.VERSION, event.EFFECT, b"", b""
    )
