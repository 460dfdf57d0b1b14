"""Views: an old hash can be taken again for ever, and the newest view leaves nothing out."""

import inspect

import msgspec

from journal import specs
from journal.specs import PortMapping
from projections import state
from projections.views import VIEW, VIEWS, state_hash, unlisted
from tests.support.story import Story, declared


def test_a_hash_in_view_1_is_what_it_was_when_0_0_1_was_released() -> None:
    story = Story()
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
