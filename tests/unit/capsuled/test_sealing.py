"""Sealed values: kept whole or not at all, opened by this machine's key alone, and named so that nothing can be guessed."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from capsuled.sealing import PREFIX, SealBroken, Vault, derived, shown
from journal.specs import SealedEnv
from tests.support.story import spec

KEY = bytes(range(32))
SECRET = "hunter2 ünïcode"


def test_a_value_comes_back_and_stands_nowhere_in_clear(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "sealed", KEY)
    (name,) = vault.seal([SECRET])
    assert vault.open(name) == SECRET and Vault(tmp_path / "sealed", KEY).open(name) == SECRET
    (file,) = (tmp_path / "sealed").iterdir()
    assert SECRET.encode() not in file.read_bytes() and file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "sealed").stat().st_mode & 0o777 == 0o700


def test_equal_values_have_one_name_on_one_machine_and_another_on_the_next(tmp_path: Path) -> None:
    vault = Vault(tmp_path, KEY)
    assert vault.seal([SECRET]) == vault.seal([SECRET, SECRET])[1:] == [vault.name_of(SECRET)]
    assert len(list(tmp_path.iterdir())) == 1
    assert Vault(tmp_path, bytes(32)).name_of(SECRET) != vault.name_of(SECRET)


def test_no_guess_can_be_tested_without_the_machines_key() -> None:
    name = Vault(Path("/nowhere"), KEY).name_of(SECRET)
    assert name not in {hashlib.new(one, SECRET.encode()).hexdigest()[:32] for one in ("sha256", "sha1", "md5")}
    assert len({derived(KEY, b"one"), derived(KEY, b"two"), derived(bytes(32), b"one"), KEY}) == 4


def test_naming_a_value_keeps_nothing(tmp_path: Path) -> None:
    Vault(tmp_path / "sealed", KEY).name_of(SECRET)
    assert not (tmp_path / "sealed").exists()


def test_a_value_that_is_gone_altered_or_another_machines_says_what_to_do(tmp_path: Path) -> None:
    vault = Vault(tmp_path, KEY)
    name, other = vault.seal([SECRET, "other"])
    content = (tmp_path / name).read_bytes()
    with pytest.raises(SealBroken, match=r"is gone .* apply the workload again"):
        vault.open("0" * 32)
    with pytest.raises(SealBroken, match="cannot be opened"):
        Vault(tmp_path, bytes(32)).open(name)
    for broken in (
        content[:-1],
        content[:5],
        b"",
        content[:20] + b"\0" + content[21:],
        (tmp_path / other).read_bytes(),
    ):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(SealBroken, match="cannot be opened") as caught:
            vault.open(name)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [lambda content: b"", lambda content: content[:-1] + bytes((content[-1] ^ 1,))],
    ids=["cut to nothing", "a bit flipped"],
)
def test_a_value_that_is_there_and_does_not_open_is_kept_when_it_is_given_again(
    tmp_path: Path, broken: Callable[[bytes], bytes]
) -> None:
    vault = Vault(tmp_path, KEY)
    name, other = vault.seal([SECRET, "other"])
    (tmp_path / name).write_bytes(broken((tmp_path / name).read_bytes()))
    untouched = (tmp_path / other).stat()

    async def given_again() -> tuple[frozenset[str], frozenset[str]]:
        async with vault.kept((), {name, other}) as before, vault.kept((SECRET, "other"), {name}) as after:
            return before, after

    before, after = asyncio.run(given_again())
    assert before == {name} and not after and vault.open(name) == SECRET
    assert (tmp_path / other).stat() == untouched, "what opens is not written anew"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, other])


def test_all_values_can_be_given_again_where_the_machine_key_is_another_under_their_former_names(
    tmp_path: Path,
) -> None:
    former = Vault(tmp_path, KEY)
    (name,) = former.seal([SECRET])
    anew = Vault(tmp_path, bytes(32), former.naming_key)
    with pytest.raises(SealBroken):
        anew.open(name)
    assert anew.seal([SECRET]) == [name] and anew.open(name) == SECRET


def test_a_specs_environment_is_opened_for_the_driver_alone(tmp_path: Path) -> None:
    from msgspec.structs import replace

    vault = Vault(tmp_path, KEY)
    variable = SealedEnv("A", vault.seal([SECRET])[0], len(SECRET.encode()))
    assert vault.environment(replace(spec(), env=(variable,))) == (("A", SECRET),)
    assert shown(variable) == PREFIX + variable.sealed
