"""The schema lock itself: what it lets pass, and what it holds up with which advice."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.histories.schema import REQUIRED, Schema, complaints, schema

LOCK: Schema = {
    "events": {
        "door.opened": {
            "version": 1,
            "effect": "must",
            "fields": {
                "name": {"type": "str", "default": REQUIRED},
                "how": {"type": {"one of": ["fully", "half"]}, "default": "fully"},
                "keys": {"type": {"list of": {"record": "Key"}}, "default": []},
            },
        },
    },
    "records": {"Key": {"teeth": {"type": "int", "default": 3}}},
    "header": ["seq", "at"],
    "actor": ["kind"],
    "view": {"Door": {"name": REQUIRED, "open": False}},
}
Change = Callable[[Schema], Any]


def after(change: Change, upcasters: tuple[tuple[str, int], ...] = ()) -> list[str]:
    now = copy.deepcopy(LOCK)
    change(now)
    return complaints(LOCK, now, upcasters)


def door(now: Schema) -> Schema:
    found: Schema = now["events"]["door.opened"]
    return found


ADDITIONS: dict[str, Change] = {
    "nothing": lambda now: None,
    "a new event": lambda now: now["events"].update({"door.shut": {"version": 1, "effect": "may", "fields": {}}}),
    "a field with a default": lambda now: door(now)["fields"].update(loud={"type": "bool", "default": False}),
    "a field of a record": lambda now: now["records"]["Key"].update(metal={"type": "str", "default": "brass"}),
    "another choice": lambda now: door(now)["fields"]["how"].update(type={"one of": ["ajar", "fully", "half"]}),
    "none beside a value": lambda now: door(now)["fields"]["name"].update(type={"any of": ["none", "str"]}),
    "a header field at the end": lambda now: now["header"].append("weather"),
    "a field outside the old view": lambda now: now["view"]["Door"].update(colour="red"),
}


@pytest.mark.parametrize("name", ADDITIONS)
def test_additions_pass(name: str) -> None:
    assert after(ADDITIONS[name]) == []


BREAKS: dict[str, tuple[Change, str]] = {
    "an event gone": (lambda now: now["events"].pop("door.opened"), "door.opened is gone"),
    "a field gone": (
        lambda now: door(now)["fields"].pop("how"),
        "door.opened.how is gone: raise door.opened's VERSION",
    ),
    "another type": (lambda now: door(now)["fields"]["name"].update(type="int"), "was str and is int"),
    "a choice gone": (lambda now: door(now)["fields"]["how"].update(type={"one of": ["half"]}), "door.opened.how was"),
    "another default": (lambda now: door(now)["fields"]["how"].update(default="half"), "had the default 'fully'"),
    "a default gone": (lambda now: door(now)["fields"]["how"].update(default=REQUIRED), "had the default 'fully'"),
    "a field without default": (
        lambda now: door(now)["fields"].update(loud={"type": "bool", "default": REQUIRED}),
        "door.opened.loud is new and has no default",
    ),
    "another effect": (lambda now: door(now).update(effect="may"), "was `must` and is `may`"),
    "a record's field": (
        lambda now: now["records"]["Key"]["teeth"].update(default=4),
        "record Key.teeth had the default 3",
    ),
    "a version without upcaster": (lambda now: door(now).update(version=2), "add UPCASTERS['door.opened', 1]"),
    "a version back": (lambda now: door(now).update(version=0), "versions only rise"),
    "a header field moved": (lambda now: now["header"].insert(0, "weather"), "only append"),
    "a view's default": (lambda now: now["view"]["Door"].update(open=True), "Door.open stands in view 1"),
    "a view's field gone": (lambda now: now["view"]["Door"].pop("name"), "Door.name stands in view 1"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_would_change_an_old_entrys_meaning_is_held_up_with_advice(name: str) -> None:
    change, words = BREAKS[name]
    assert any(words in complaint for complaint in after(change)), after(change)


def test_a_new_version_with_an_upcaster_may_change_everything() -> None:
    def anew(now: Schema) -> None:
        door(now).update(version=3, effect="may", fields={"door": {"type": "int", "default": REQUIRED}})
        now["records"].clear()

    assert after(anew, (("door.opened", 1), ("door.opened", 2))) == []
    assert after(anew, (("door.opened", 2),)) == [
        "door.opened is version 3, and nothing reads version 1: add UPCASTERS['door.opened', 1]"
    ]


def test_the_schema_of_today_has_nothing_against_itself() -> None:
    assert complaints(schema(), schema(), ()) == []
