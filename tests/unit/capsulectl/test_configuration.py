"""The directory of the configuration: wherever it is, whatever it is made of, and where nothing can be written to it."""

from pathlib import Path

import pytest

from capsulectl import contexts, secure
from capsulectl.contexts import Target
from capsulectl.errors import Failure, Impostor
from capsulectl.handshake import fingerprint_of, pem_of
from capsulectl.pinning import pinned

DER = b"a certificate"


def test_what_is_kept_names_no_file_by_where_somebody_stood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", "./config")
    assert contexts.config_dir() == tmp_path / "config"
    assert pinned("ff")[1] == str(tmp_path / "config" / "operator.ed25519")


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_where_somebody_keeps_it_stays_one(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a repository of dotfiles has it."""
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", str(tmp_path / "config"))
    kept, link = tmp_path / "dotfiles" / "capsule.yaml", tmp_path / "config" / "config.yaml"
    link.parent.mkdir()
    link.symlink_to("../dotfiles/capsule.yaml")
    if there:
        kept.parent.mkdir()
        kept.write_text("contexts: {home: {addr: '192.0.2.1:50000'}}")
    shared = contexts.load_shared()
    contexts.save_shared(shared | {"current": "home"})
    assert link.is_symlink() and "current: home" in kept.read_text()
    assert contexts.load_shared() == shared | {"current": "home"}


@pytest.fixture
def unwritable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration beside which no certificate can be kept, and a machine that shows one."""
    (tmp_path / "certificates").write_text("no directory")
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setattr(secure, "presented", lambda host, port: DER)


def test_a_machine_that_shows_the_right_certificate_is_talked_to_also_where_that_cannot_be_kept(
    unwritable: None,
) -> None:
    assert secure._pinned(Target("192.0.2.1:50000", "home", "abcd", fingerprint_of(DER))) == pem_of(DER)
    with pytest.raises(Impostor, match="IS NOT THE ONE THAT WAS PINNED"):
        secure._pinned(Target("192.0.2.1:50000", "home", "abcd", "ff" * 32))


def test_whoever_adopts_or_installs_is_told_that_it_cannot_be_kept(unwritable: None) -> None:
    with pytest.raises(Failure, match="cannot be written: Not a directory"):
        secure.keep(DER)
