"""Moving house: everything of one machine on a blank one, by an archive, a file of sealed values and a volume's file."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsulectl.sealed_file import Sealed, sealed, unsealed
from tests.integration.test_volumes import count, user, volume
from tests.support.daemon import SERVE, Daemon, daemon, manifest
from tests.support.operators import Operator

pytestmark = pytest.mark.real


class Boxes:
    """What leaves the old house."""

    def __init__(self, directory: Path) -> None:
        self.archive, self.secrets, self.volume = (
            str(directory / name) for name in ("memory", "secrets", "data.volume")
        )
        self.passphrase = str(directory / "passphrase")
        Path(self.passphrase).write_text("correct horse\nbattery staple\n")


@pytest.fixture(scope="module")
def old() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        made.good("secret", "create", "password", stdin="hunter2")
        made.apply(manifest("plain", SERVE), "--wait")
        made.apply(manifest("told", SERVE, env={"TOKEN": "t0ken"}, secretEnv={"PASSWORD": "password"}), "--wait")
        made.apply(manifest("idle", SERVE), "--wait")
        made.good("stop", "idle", "--wait")
        made.apply(f"{volume('data')}\n---\n{user('counter', 'data')}", "--wait")
        assert count(made, "counter") == 1
        yield made


@pytest.fixture(scope="module")
def boxes(old: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Boxes:
    made = Boxes(tmp_path_factory.mktemp("boxes"))
    old.good("volume", "export", "data", made.volume)
    said = old.ctl(
        "journal", "export", made.archive, "--secrets", made.secrets, "--passphrase-file", made.passphrase
    )  # fmt: skip
    assert said.returncode == 0 and "2 values, under the passphrase" in said.stderr
    for value in (b"hunter2", b"t0ken"):
        assert value not in Path(made.archive).read_bytes() + Path(made.secrets).read_bytes()
    assert os.stat(made.secrets).st_mode & 0o777 == 0o600
    return made


@pytest.fixture
def listening() -> Iterator[Daemon]:
    """A blank machine on a port that it has again in its next life."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with daemon(start=False) as made:
        made.start("--listen", f"127.0.0.1:{port}")
        yield made


def wanted(capsule: Daemon) -> str:
    return str(capsule.data("journal", "stats")["desiredHash"])


def env_of(capsule: Daemon, name: str) -> str:
    return capsule.good("exec", name, "--", "sh", "-c", "echo $TOKEN $PASSWORD").strip()


def test_with_its_secrets_and_its_volume_it_lives_on_as_it_was(old: Daemon, boxes: Boxes) -> None:
    hashed, history = wanted(old), old.history()
    with daemon() as new:
        plan = new.good(
            "restore", boxes.archive, "--secrets", boxes.secrets, "--passphrase-file", boxes.passphrase, "--dry-run"
        )  # fmt: skip
        assert f"hash {hashed}" in plan and "was pushed: push it here, too" in plan
        assert "volume" in plan and "secret " not in plan, "those come along"
        new.push_image()
        asked = new.ctl("restore", boxes.archive, "--secrets", boxes.secrets, "--passphrase-file", boxes.passphrase)
        assert asked.returncode == 2 and "nobody is there to ask" in asked.stderr
        assert "image" not in asked.stdout, "it is here by now"
        done = new.ctl(
            "restore", boxes.archive, "--secrets", boxes.secrets, "--passphrase-file", boxes.passphrase, "--yes"
        )  # fmt: skip
        assert done.returncode == 0 and f"2 sealed values; wanted is {hashed}" in done.stdout
        assert "WARNING" not in done.stderr + new.ctl("list").stderr, "it is another journal, as was asked for"
        assert (
            wanted(new) == hashed and json.loads(new.good("replay", "--verify", "-o", "json"))["desiredHash"] == hashed
        )
        assert new.process is not None and new.process.poll() is None, "it is one process from the first to the last"
        for name in ("plain", "told"):
            new.good("wait", name, "--for", "running")
        assert env_of(new, "told") == "t0ken hunter2" and new.good("secret", "reveal", "password") == "hunter2"
        assert new.status("idle")["phase"] == "WORKLOAD_PHASE_STOPPED"
        assert "is not in the storage any more" in new.good("why", "counter")
        new.good("volume", "import", "data", boxes.volume)
        new.good("wait", "counter", "--for", "running")
        assert count(new, "counter") == 2
        same = new.apply(manifest("told", SERVE, env={"TOKEN": "t0ken"}, secretEnv={"PASSWORD": "password"}))
        assert "unchanged" in same, "its value has the name that it had"
        (restored,) = new.history("--type", "journal.restored")
        upto = restored["body"]["upto"]
        assert [one["hash"] for one in new.history()[:upto]] == [one["hash"] for one in history[:upto]]
        assert not new.history("plain", "--type", "workload.lost"), "what ran on the old machine was never here"
        assert restored["seq"] == upto + 1 and "took over the memory" in restored["summary"]
        assert "Whole:    yes" in new.good("journal", "verify")
        assert not (new.state / "restore").exists()
        again = new.ctl("restore", boxes.archive, "--yes")
        assert again.returncode == 1 and "is not blank" in again.stderr


def test_without_them_only_what_needs_them_waits_and_says_for_what(old: Daemon, boxes: Boxes) -> None:
    with daemon() as new:
        new.push_image()
        lacking = new.good("restore", boxes.archive, "--dry-run", "-o", "name").split()
        assert lacking == ["secret/password", "env/told", "volume/data"]
        said = new.ctl("restore", boxes.archive, "--yes")
        assert said.returncode == 0 and "env told: apply it again with its values: TOKEN" in said.stderr
        new.good("wait", "plain", "--for", "running")
        new.until(lambda: "sealed value" in new.good("why", "told"), "it says what it lacks")
        new.good("secret", "rotate", "password", stdin="hunter3")
        new.apply(manifest("told", SERVE, env={"TOKEN": "new"}, secretEnv={"PASSWORD": "password"}), "--wait")
        assert env_of(new, "told") == "new hunter3"


def test_a_file_of_secrets_is_opened_in_a_dry_run_too_and_what_it_lacks_is_listed(
    boxes: Boxes, listening: Daemon, tmp_path: Path
) -> None:
    content = unsealed(boxes.secrets, lambda: "correct horse")
    made = tmp_path / "made"

    def planned(of: Sealed, *options: str) -> "subprocess.CompletedProcess[str]":
        made.write_bytes(sealed(of, "correct horse"))
        opened = ("--secrets", str(made), "--passphrase-file", boxes.passphrase)
        return listening.ctl("restore", boxes.archive, *opened, "--dry-run", *options)

    short = planned(content._replace(values=("t0ken",)), "-o", "name")
    assert {"secret/password", "volume/data"} <= set(short.stdout.split()) and "env/told" not in short.stdout
    other = planned(content._replace(journal_id="ab" * 16))
    assert other.returncode == 2 and "another machine's journal" in other.stderr
    unasked = listening.ctl("restore", boxes.archive, "--secrets", boxes.secrets, "--dry-run")
    assert unasked.returncode == 2 and "nobody is there to ask for the passphrase" in unasked.stderr


def test_what_does_not_fit_changes_nothing(old: Daemon, boxes: Boxes, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("no horse at all\n")
    content = Path(boxes.archive).read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(content[: len(content) // 2])
    with daemon() as new:
        before = new.data("journal", "stats")["journalId"]
        for option in ("--yes", "--dry-run"):
            locked = new.ctl(
                "restore", boxes.archive, "--secrets", boxes.secrets, "--passphrase-file", str(wrong), option
            )  # fmt: skip
            assert locked.returncode == 1 and "the passphrase is another" in locked.stderr
        broken = new.ctl("restore", str(cut), "--yes")
        assert broken.returncode == 1 and "cut or altered" in broken.stderr
        new.good("volume", "create", "mine", "16MiB")
        taken = new.ctl("restore", boxes.archive, "--yes")
        assert taken.returncode == 1 and "it has 1 volume (mine)" in taken.stderr
        assert new.data("journal", "stats")["journalId"] == before and not (new.state / "restore").exists()


def adopts(who: Operator, capsule: Daemon) -> "subprocess.CompletedProcess[str]":
    info = capsule.data("capsule", "info")
    return who.ctl("adopt", info["addresses"][0], "--fingerprint", info["tlsFingerprintSha256"], "--name", "new")


def test_whoever_restores_by_a_key_stays_an_admin_beside_those_in_the_archive_and_throws_out_a_stolen_one(
    listening: Daemon, tmp_path: Path
) -> None:
    laptop, desk = Operator(tmp_path / "laptop"), Operator(tmp_path / "desk")
    archive = str(tmp_path / "memory")
    with daemon() as old:
        old.good("key", "add", laptop.public_key(), "--name", "laptop", "--role", "admin")
        old.good("secret", "create", "password", stdin="hunter2")
        old.good("journal", "export", archive)
        hashed = wanted(old)
    assert adopts(desk, listening).returncode == 0
    plan = desk.good("restore", archive, "--dry-run")
    assert "laptop" in plan and "yours: stays" in plan and "`capsulectl key remove KEY` right after" in plan
    done = desk.ctl("restore", archive, "--yes")
    assert done.returncode == 0, done.stderr
    assert f"wanted is as in the archive ({hashed}) but for your key, which is an admin's now: " in done.stdout
    assert done.stdout.rstrip().endswith(wanted(listening))
    assert "keys that open it: laptop (admin)" in done.stderr
    assert len(desk.data("key", "list")) == 2
    desk.good("key", "remove", "laptop", "--yes")
    assert len(desk.data("key", "list")) == 1
    assert "adoption window closed" in adopts(laptop, listening).stderr
    assert any("added" in one["summary"] for one in listening.history("--type", "operator.enrolled"))
    assert "Whole:    yes" in desk.good("journal", "verify")


def test_a_machine_without_keys_that_took_over_an_archive_is_nobodys_to_adopt(
    listening: Daemon, boxes: Boxes, tmp_path: Path
) -> None:
    assert listening.data("capsule", "info").get("claimableSeconds"), "it is blank"
    done = listening.ctl(
        "restore", boxes.archive, "--secrets", boxes.secrets, "--passphrase-file", boxes.passphrase, "--yes"
    )  # fmt: skip
    assert done.returncode == 0 and "nobody can adopt it before the machine boots again" in done.stderr
    stranger = adopts(Operator(tmp_path / "stranger"), listening)
    assert stranger.returncode == 1 and "adoption window closed" in stranger.stderr
    assert "not in the boot in which it took over a memory" in stranger.stderr
    assert not listening.data("capsule", "info").get("claimableSeconds") and not listening.data("key", "list")
