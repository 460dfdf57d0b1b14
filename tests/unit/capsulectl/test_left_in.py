"""An installation whose machine boots from the removable disk once more: the installer has another certificate then,
which is no end of the wait for what was installed."""

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace

import pytest

from capsule.v1 import capsule_pb2
from capsulectl import install, power
from capsulectl.contexts import Target
from capsulectl.errors import TIMED_OUT, Failure, Impostor
from capsulectl.pinning import remember

BOX = Target("unix:/nowhere", "box")


def test_another_certificate_is_waited_out_where_it_may_be_that_of_a_removable_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(power, "Connection", lambda target: target)
    monkeypatch.setattr(power, "POLL_S", 0.0)
    changed = Impostor("REFUSED: `capsulectl context rm box`")
    said: Iterator[Failure | str] = chain((changed, "up"), repeat(changed))

    def ask(connection: object) -> str:
        found = next(said)
        if isinstance(found, Failure):
            raise found
        return found

    assert power.until_answered(BOX, 30.0, ask, "in vain", "the stick's") == "up"
    with pytest.raises(Failure, match=r"^in vain\. What was met last: the stick's$"):
        power.until_answered(BOX, 0.01, ask, "in vain", "the stick's")


def test_an_installed_machine_that_boots_from_the_removable_disk_again_keeps_its_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the only way to that machine, once the disk is out."""
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", str(tmp_path))
    remember("box", "192.0.2.1:50000", "abcd", "ff" * 32, str(tmp_path / "key"))
    monkeypatch.setattr(power, "POLL_S", 0.0)
    up = SimpleNamespace(
        capsule=SimpleNamespace(GetInfo=None),
        read=lambda *_, **__: capsule_pb2.GetInfoResponse(short_id="abc", boot_id="1", boot_disk="/dev/vda"),
    )
    shown: Iterator[object] = chain((None, None, up), repeat(None))

    def connected(capsule: Target) -> object:
        if (one := next(shown)) is None:
            raise Impostor("REFUSED: `capsulectl context rm box`")
        return one

    monkeypatch.setattr(power, "Connection", connected)
    install._wait("box", "/dev/vda", 30.0, quiet=False)
    assert capsys.readouterr().err.endswith("abc is up from /dev/vda\n")
    with pytest.raises(Failure, match=r"another certificate .* removable disk again") as told:
        install._wait("box", "/dev/vda", 0.01, quiet=False)
    assert "context rm" not in told.value.message and told.value.code == TIMED_OUT
