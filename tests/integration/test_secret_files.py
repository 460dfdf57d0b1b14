"""Secrets as files in memory, on a real runtime: rotated under what runs, kept over a daemon's death, gone with the run."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsuled.layout import hosted
from tests.support.daemon import CAPSULED, SERVE, Daemon, daemon, manifest

pytestmark = pytest.mark.real

FILE = "/run/secrets/key"


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        made.good("secret", "create", "key", stdin="one")
        made.good("secret", "create", "other", stdin="of another")
        yield made


def cat(capsule: Daemon, name: str, path: str = FILE) -> str:
    return capsule.good("exec", name, "--", "cat", path)


def memory(capsule: Daemon) -> list[str]:
    """Everything that is in memory of secrets' files."""
    top = hosted(capsule.state).memory / "secrets"
    return sorted(str(path.relative_to(top)) for path in top.rglob("*"))


def run_of(capsule: Daemon, name: str) -> tuple[int, int]:
    status = capsule.status(name)
    return int(status["run"]), int(status["pid"])


def test_a_file_is_its_owners_and_nobody_can_write_it(capsule: Daemon) -> None:
    secrets = ["key", {"secret": "other", "path": "/srv/keys/mine", "mode": "0440", "uid": 1234, "gid": 7}]
    capsule.apply(manifest("owner", SERVE, secrets=secrets, user="33:44", readOnlyRoot=True), "--wait")
    ask = "stat -c '%a %u %g' /run/secrets/key; stat -c '%a %u %g' /srv/keys/mine; cat /run/secrets/key"
    assert capsule.good("exec", "owner", "--", "sh", "-c", ask) == "400 33 44\n440 1234 7\none"
    written = capsule.ctl("exec", "-u", "0", "owner", "--", "sh", "-c", f"echo x > {FILE}; echo x > /run/secrets/more")
    assert written.returncode != 0 and written.stderr.count("Read-only file system") == 2
    shown = capsule.data("get", "owner")["container"]["secrets"]
    mine = {"secret": "other", "path": "/srv/keys/mine", "mode": "0440", "uid": 1234, "gid": 7}
    assert shown == [{"secret": "key", "path": FILE}, mine]
    assert capsule.apply(capsule.good("get", "owner", "-o", "yaml")) == "workload/owner unchanged\n"
    capsule.good("delete", "owner", "--yes")


def test_a_rotation_reaches_what_runs_whole_and_without_a_restart(capsule: Daemon) -> None:
    values = [letter * 100_000 for letter in "ab"]
    capsule.good("secret", "rotate", "key", stdin=values[0])
    script = f'while :; do now=$(md5sum < {FILE}); [ "$now" = "$last" ] || echo "$now"; last=$now; done'
    capsule.apply(manifest("reader", script, secrets=["key"]), "--wait")
    before = run_of(capsule, "reader")
    for turn in range(1, 6):
        capsule.good("secret", "rotate", "key", stdin=values[turn % 2])
        capsule.until(lambda turn=turn: cat(capsule, "reader") == values[turn % 2], "it is there")  # type: ignore[misc]
    assert run_of(capsule, "reader") == before and "message" not in capsule.status("reader")
    seen = re.findall(r"^([0-9a-f]{32}) ", capsule.good("logs", "reader"), re.MULTILINE)
    whole = {
        subprocess.run(["md5sum"], input=value.encode(), capture_output=True, check=True).stdout[:32].decode()
        for value in values
    }
    assert set(seen) == whole
    capsule.good("delete", "reader", "--yes")
    capsule.good("secret", "rotate", "key", stdin="one")


def test_it_outlives_the_daemon_and_not_the_run(capsule: Daemon) -> None:
    capsule.apply(manifest("lives", SERVE, secrets=["key"], restart="never"), "--wait")
    before, files = run_of(capsule, "lives"), memory(capsule)
    assert any(path.endswith("/key") for path in files)
    capsule.kill()
    capsule.start()
    assert run_of(capsule, "lives") == before and memory(capsule) == files and cat(capsule, "lives") == "one"
    capsule.good("secret", "rotate", "key", stdin="after the fall")
    capsule.until(lambda: cat(capsule, "lives") == "after the fall", "the adopted run has it, too")
    capsule.good("stop", "lives", "--wait")
    capsule.until(lambda: memory(capsule) == [], "nothing is left in memory")
    capsule.good("start", "lives", "--wait")
    assert cat(capsule, "lives") == "after the fall"
    capsule.good("delete", "lives", "--yes")
    assert memory(capsule) == []


def test_what_a_life_left_behind_and_what_another_hand_took_is_put_right_at_the_next_start(capsule: Daemon) -> None:
    capsule.apply(manifest("held", SERVE, secrets=["key"]), "--wait")
    value, top = cat(capsule, "held"), hosted(capsule.state).memory / "secrets"
    run = run_of(capsule, "held")
    capsule.kill()
    (top / "gone" / "7").mkdir(parents=True)
    (top / "gone" / "7" / "left").write_text("left")
    next(top.glob("held/*/*/key")).unlink()
    capsule.start()
    capsule.until(lambda: capsule.ctl("exec", "held", "--", "cat", FILE).stdout == value, "it is there again")
    assert run_of(capsule, "held") == run
    assert not any(path.startswith("gone") for path in memory(capsule))
    told = [event["body"] for event in capsule.history("held") if event["type"] == "secret.files_removed"]
    assert told[0]["reason"] == "they were not there any more"
    capsule.good("delete", "held", "--yes")


def test_the_plan_the_journal_and_the_refusals_name_secrets_and_show_none(capsule: Daemon) -> None:
    declared = manifest("named", SERVE, secrets=["key"])
    plan = capsule.good("apply", "-f", "-", "--dry-run", stdin=declared)
    assert re.search(r"EnsureSecretFiles +named +/run/secrets/key with version \d+ of secret key", plan)
    capsule.apply(declared, "--wait")
    refused = capsule.ctl("secret", "rm", "key", "--yes")
    assert refused.returncode == 1 and "secret key is used by named" in refused.stderr
    assert [one["usedBy"] for one in capsule.data("secret", "list") if one["name"] == "key"] == [["named"]]
    hidden = capsule.ctl("apply", "-f", "-", stdin=manifest("hides", SERVE, secrets=["key:/etc/key"]))
    assert hidden.returncode == 1 and "like /etc/secrets/key" in hidden.stderr
    capsule.good("delete", "named", "--yes")


def test_a_halt_leaves_nothing_of_it_and_the_next_start_makes_it_again(tmp_path: Path) -> None:
    with daemon() as capsule:
        capsule.push_image()
        capsule.good("secret", "create", "key", stdin="one")
        capsule.apply(manifest("web", SERVE, secrets=["key"], secretEnv={"KEY": "key"}), "--wait")
        capsule.stop()
        run = hosted(capsule.state).run
        subprocess.run([*_halt(capsule)], check=True, capture_output=True, env=capsule.environment)
        assert not run.exists() and str(run) not in Path("/proc/self/mountinfo").read_text()
        capsule.start()
        capsule.until(lambda: capsule.status("web").get("phase") == "WORKLOAD_PHASE_RUNNING", "it runs again")
        ask = f"echo $KEY $(cat {FILE})"
        capsule.until(
            lambda: capsule.ctl("exec", "web", "--", "sh", "-c", ask).stdout == "one one\n", "with its secrets"
        )


def _halt(capsule: Daemon) -> list[str]:
    return [CAPSULED, "--state", str(capsule.state), "--halt"]
