"""Who this machine is, on the disk: made once, kept, and never taken for whole where it was cut."""

from pathlib import Path

import pytest

from capsuled.identity import KEY_BYTES, BadIdentity, load_or_make, load_or_make_id


def test_an_identity_is_made_once_and_kept(tmp_path: Path) -> None:
    made = load_or_make(tmp_path / "identity")
    assert load_or_make(tmp_path / "identity") == made and len(made.machine_key) == KEY_BYTES
    (tmp_path / "identity/naming_key").write_bytes(bytes(range(KEY_BYTES)))
    assert load_or_make(tmp_path / "identity").naming_key == bytes(range(KEY_BYTES))


@pytest.mark.parametrize("content", [b"", b"abc", bytes(31), bytes(33)], ids=lambda one: f"{len(one)} bytes")
@pytest.mark.parametrize(("name", "cost"), [("machine_key", "can be opened"), ("naming_key", "counts as another")])
def test_a_key_that_was_cut_is_none_and_what_to_do_is_said(
    tmp_path: Path, name: str, cost: str, content: bytes
) -> None:
    made = load_or_make(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadIdentity) as caught:
        load_or_make(tmp_path)
    words = caught.value.strerror or ""
    assert caught.value.filename == str(tmp_path / name)
    assert f"it has {len(content)} bytes" in words and "put it back" in words and "remove it" in words and cost in words
    assert load_or_make_id(tmp_path) == made.capsule_id  # what runs can be ended all the same
    assert (tmp_path / name).read_bytes() == content
    (tmp_path / name).unlink()
    assert load_or_make(tmp_path).capsule_id == made.capsule_id


@pytest.mark.parametrize("content", [b"", b"\n", b"2dfe843b-2b5a-4d76", b"\xff\xfe"])
def test_an_id_that_was_cut_says_nobodys_name(tmp_path: Path, content: bytes) -> None:
    load_or_make(tmp_path)
    (tmp_path / "capsule_id").write_bytes(content)
    with pytest.raises(BadIdentity, match="it holds no UUID"):
        load_or_make(tmp_path)
