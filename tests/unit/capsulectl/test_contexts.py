"""Contexts when several commands change them at once: nothing that one of them wrote is lost."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capsulectl import context, contexts, pinning
from capsulectl.errors import Failure


@pytest.fixture(autouse=True)
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between what is loaded and what is saved there is time for another."""

    def slowly(load: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        def loaded() -> dict[str, Any]:
            found = load()
            time.sleep(0.02)
            return found

        return loaded

    monkeypatch.setenv("CAPSULE_CONFIG_DIR", str(tmp_path / "config"))
    for module in (context, contexts, pinning):
        monkeypatch.setattr(module, "load_local", slowly(contexts.load_local))
        monkeypatch.setattr(module, "load_shared", slowly(contexts.load_shared))


def at_once(*commands: Callable[[], None]) -> None:
    threads = [threading.Thread(target=command) for command in commands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)


def adopted(name: str) -> None:
    pinning.remember(name, f"{name}:50000", name, "ab" * 32, "/key")


def test_the_configuration_is_where_every_other_client_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """wire-contract.md: CAPSULE_CONFIG_DIR or ~/.config/capsule, and nowhere else."""
    assert contexts.config_dir() == tmp_path / "config"
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert contexts.config_dir() == tmp_path / "home" / ".config" / "capsule"


def test_machines_that_are_adopted_at_once_are_all_remembered() -> None:
    names = ["one", "two", "three", "four"]
    at_once(*(lambda name=name: adopted(name) for name in names))
    assert sorted(contexts.load_shared()["contexts"]) == sorted(names)


def test_one_that_is_forgotten_and_one_that_is_chosen_take_none_along() -> None:
    for name in ("old", "chosen"):
        adopted(name)
    at_once(lambda: context.remove("old"), lambda: contexts.choose("chosen"), lambda: adopted("new"))
    assert sorted(contexts.load_shared()["contexts"]) == ["chosen", "new"]


def test_sockets_that_are_added_at_once_are_all_remembered() -> None:
    names = ["one", "two", "three", "four"]
    at_once(*(lambda name=name: context.add(name, socket=f"/{name}", use=True) for name in names))
    assert sorted(contexts.load_local()["contexts"]) == sorted(names)
    assert contexts.load_local()["current"] in names


def in_use() -> str:
    return contexts.current(contexts.load_local(), contexts.load_shared())


@pytest.mark.parametrize("chosen", ["machine", "socket"])
@pytest.mark.parametrize("renamed", ["machine", "socket"])
def test_another_name_changes_neither_the_machine_nor_which_is_in_use(chosen: str, renamed: str) -> None:
    adopted("machine")
    contexts.choose("machine")
    context.add("socket", socket="/s")
    contexts.choose(chosen)
    before = {name: contexts.target(name)._replace(name="") for name in ("machine", "socket")}
    context.rename(renamed, "new")
    assert in_use() == ("new" if chosen == renamed else chosen)
    assert contexts.target("new")._replace(name="") == before[renamed]
    with pytest.raises(Failure, match=f"no context {renamed}"):
        contexts.target(renamed)


def test_a_socket_before_a_machine_of_its_name_is_the_one_that_is_renamed() -> None:
    adopted("twice")
    contexts.choose("twice")
    contexts.save_local({"contexts": {"twice": {"socket": "/s"}}})
    context.rename("twice", "new")
    assert in_use() == "new" and contexts.target("").address == "unix:/s"
    assert contexts.target("twice").address == "twice:50000"


@pytest.mark.parametrize("name", ["other", "socket", "old", " ", "-x", "unix:/s"])
def test_a_name_that_is_taken_or_none_is_not_given_again(name: str) -> None:
    adopted("old")
    adopted("other")
    context.add("socket", socket="/s")
    before = contexts.load_local(), contexts.load_shared()
    with pytest.raises(Failure, match=r"already|no name of a context"):
        context.rename("old", name)
    assert (contexts.load_local(), contexts.load_shared()) == before


def test_names_that_are_given_at_once_are_all_kept() -> None:
    for name in ("one", "two", "three"):
        adopted(name)
    at_once(*(lambda name=name: context.rename(name, f"{name}-new") for name in ("one", "two", "three")))
    assert sorted(contexts.load_shared()["contexts"]) == ["one-new", "three-new", "two-new"]


@pytest.mark.parametrize("forgotten", [lambda name: context.rename(name, "new"), context.use, context.remove])
def test_where_nothing_is_known_nothing_is_made_for_a_name(tmp_path: Path, forgotten: Callable[[str], None]) -> None:
    with pytest.raises(Failure, match="there is no context nobody"):
        forgotten("nobody")
    assert list(tmp_path.iterdir()) == []


def test_the_one_in_use_is_not_forgotten_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("home", "attic"):
        adopted(name)
    contexts.choose("home")
    context.remove("home")
    said = capsys.readouterr().err
    assert said == "home is forgotten: it was the one in use; `capsulectl context use attic` chooses another\n"
    context.remove("attic")
    assert capsys.readouterr().err == "attic is forgotten\n", "nothing else is said of another"


def test_what_comes_into_use_behind_it_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    adopted("home")
    contexts.choose("home")
    context.add("here", socket="/here", use=True)
    capsys.readouterr()
    context.remove("here")
    assert capsys.readouterr().err == "here is forgotten: it was the one in use, and home is from now\n"


def test_where_none_is_in_use_those_there_are_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPSULE_HOST", raising=False)
    monkeypatch.setattr(contexts, "DEFAULT_SOCKET", Path("/nonexistent"))
    adopted("home")
    contexts.choose("home")
    context.add("here", socket="/here")
    context.remove("home")
    with pytest.raises(Failure, match=r"`capsulectl context use NAME` chooses one \(here\)"):
        contexts.target("")
