"""Views: an old hash can be taken again for ever, and the newest view leaves nothing out."""

import inspect

import msgspec
import pytest

from journal import specs
from journal.specs import PortMapping
from projections import state
from projections.views import VIEW, VIEWS, state_hash, unlisted
from tests.support.story import Story, declared


def test_a_hash_in_view_1_is_what_it_was_when_0_0_1_was_released() -> None:
    story = Story(holds=())
    story.apply(
        declared("web", "serve", ports=(PortMapping(80, 8080),), network="bridge"),
        declared("job", restart="on-failure"),
    )
    story.run_starts("web")
    story.run_starts("job")
    story.run_ends("job", 3)
    assert state_hash(story.machine, 1) == "f155cde347b63ddc2914fc0f0776ae9bd7f9116eb2f0432c88537457e6cd30b7"


def test_the_newest_view_lists_every_field_of_every_record() -> None:
    records = [
        kind
        for module in (specs, state)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__ and kind is not state.Machine
    ]
    assert max(VIEWS) == VIEW
    assert unlisted(records) == ()


def test_a_new_field_with_its_default_changes_no_hash_and_in_an_old_view_no_value_of_it_does() -> None:
    class Workload(state.Workload, frozen=True, omit_defaults=True):
        mood: str = "calm"

    story = Story()
    story.apply(declared("web"))
    before = {view: state_hash(story.machine, view) for view in VIEWS}
    fields = {name: getattr(story["web"], name) for name in state.Workload.__struct_fields__}
    for mood in ("calm", "grumpy"):
        story.machine.workloads["web"] = Workload(**fields, mood=mood)
        assert {view: state_hash(story.machine, view) for view in VIEWS} == before


def test_a_hash_is_over_sorted_names_whatever_order_they_came_in() -> None:
    one, other = Story(), Story()
    for name in ("a", "b", "c"):
        one.apply(declared(name))
    machine = one.machine.fork()
    machine.workloads = dict(reversed(machine.workloads.items()))
    assert list(machine.workloads) != list(one.machine.workloads)
    assert [state_hash(machine, view) for view in VIEWS] == [state_hash(one.machine, view) for view in VIEWS]
    assert state_hash(other.machine) != state_hash(one.machine)


def test_a_default_is_left_out_and_anything_else_is_not() -> None:
    machine = state.Machine(seq=5)
    assert VIEWS[VIEW](machine) == {"seq": 5}
    story = Story()
    story.apply(declared("web"))
    told = VIEWS[VIEW](story.machine)["workloads"]["web"]
    assert "restarts" not in told and "run" not in told and told["spec"].keys() == {"image"}


def test_every_part_of_the_state_has_a_say_in_the_hash() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    seen = {state_hash(story.machine)}
    for name in state.Machine.__struct_fields__:
        machine = story.machine.fork()
        value = getattr(machine, name)
        if isinstance(value, int) and name not in ("at", "mono_ns"):
            setattr(machine, name, value + 1)
            assert state_hash(machine) not in seen, name


def test_a_view_that_this_release_does_not_have_is_said_to_be_none() -> None:
    with pytest.raises(KeyError):
        state_hash(state.Machine(), 99)
