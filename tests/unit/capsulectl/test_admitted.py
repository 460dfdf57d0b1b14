"""Whose keys open a machine that takes over an archive: told before it does, so that a stolen one is seen."""

from types import SimpleNamespace
from typing import Any

import pytest

from capsulectl.admitted import Admitted, admitted
from projections.intents import AddKey
from projections.state import Machine
from tests.support.story import Story

STOLEN, NEW, READER = (letter * 43 for letter in "snr")
LOCAL = SimpleNamespace(kid="", name="local")


def archive() -> Machine:
    story = Story()
    story.call(AddKey(STOLEN, "ab" * 32, "laptop", "admin"))
    story.call(AddKey(READER, "cd" * 32, "screen", "reader"))
    return story.machine


def asked(who: Any, *others: Any, machine: Machine | None = None) -> Admitted:
    return admitted(archive() if machine is None else machine, who, [who, *others] if who.kid else others)


def test_who_restores_with_a_key_of_its_own_stays_beside_those_in_the_archive(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = asked(SimpleNamespace(kid=NEW, name="desk"), SimpleNamespace(kid="x" * 43, name="bob"))
    assert [one[:3] for one in plan.keys] == [
        (STOLEN, "laptop", "admin"), (READER, "screen", "reader"), (NEW, "desk", "admin"),
    ]  # fmt: skip
    plan.show()
    said = capsys.readouterr().out
    assert f"{STOLEN[:12]}  laptop  admin   in the archive" in said
    assert "yours: stays, beside those in the archive" in said and "no more: bob" in said
    assert "`capsulectl key remove KEY` right after" in said and "key add" not in said
    assert plan.text() == "laptop (admin), screen (reader), desk (admin)"


def test_who_is_in_the_archive_is_an_admin_whatever_it_says() -> None:
    _, known = asked(SimpleNamespace(kid=READER, name="anna")).keys
    assert known == (READER, "screen", "admin", "yours: in the archive as reader")
    known, _ = asked(SimpleNamespace(kid=STOLEN, name="anna")).keys
    assert known == (STOLEN, "laptop", "admin", "yours, and in the archive")


def test_by_the_socket_a_key_is_to_be_added_before_the_last_admins_can_go() -> None:
    assert "once another admin's is there (`capsulectl key add`)" in asked(LOCAL).advice()


def test_where_no_key_opens_it_that_is_said() -> None:
    plan = asked(LOCAL, SimpleNamespace(kid=NEW, name=""), machine=Machine())
    assert plan.keys == [] and plan.gone == [NEW[:12]] and plan.text() == "none"
    assert "nobody can adopt it before the machine boots again: `capsulectl key add`" in plan.advice()


def test_a_key_alone_needs_no_advice() -> None:
    plan = asked(SimpleNamespace(kid=NEW, name="desk"), machine=Machine())
    assert plan.advice() == "" and plan.data()[0]["name"] == "desk"
