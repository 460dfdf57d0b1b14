"""rollback by the command line: the plan first, then one entry; what cannot go back is named."""

import json

import pytest

from tests.support.daemon import CTL, SERVE, Daemon, manifest
from tests.support.terminal import window

pytestmark = pytest.mark.real


def newest(capsule: Daemon) -> int:
    return int(json.loads(capsule.good("journal", "stats", "-o", "json"))["lastSeq"])


def versions(capsule: Daemon, name: str) -> None:
    """Two revisions, each with a value of its own."""
    for version in ("one", "two"):
        capsule.apply(manifest(name, f"{SERVE} # {version}", env={"VERSION": version}), "--wait")


def version(capsule: Daemon, name: str) -> str:
    return capsule.good("exec", name, "--", "sh", "-c", "echo $VERSION").strip()


def test_to_the_revision_before_and_back_again(capsule: Daemon) -> None:
    versions(capsule, "backed")
    plan = capsule.good("rollback", "backed", "--to", "previous", "--dry-run")
    assert "  ~ container.args: " in plan or "  ~ container.command: " in plan
    assert "backed    configured  its present run ends" in plan and "StopRun" in plan
    assert version(capsule, "backed") == "two"
    asked = capsule.ctl("rollback", "backed", "--to", "previous")
    assert asked.returncode == 2 and "nobody is there to ask" in asked.stderr and "configured" in asked.stdout
    as_data = capsule.ctl("rollback", "backed", "--to", "previous", "-o", "json")
    assert (as_data.returncode, as_data.stdout) == (2, "") and "configured" in as_data.stderr
    done = capsule.good("rollback", "backed", "--to", "previous", "--yes", "--wait", "--reason", "two was slow")
    assert "workload/backed configured, as after entry " in done
    assert version(capsule, "backed") == "one"
    (told,) = capsule.history("backed", "--type", "rollback.requested")
    assert told["body"]["reason"] == "two was slow" and told["objects"] == ["backed"]
    assert "shall be as after entry" in told["summary"] and told["actor"] == "local"
    capsule.good("rollback", "backed", "--to", "previous", "--yes", "--wait")
    assert version(capsule, "backed") == "two"
    capsule.good("delete", "backed", "--yes")


def test_what_was_agreed_to_is_done_whatever_is_declared_meanwhile(capsule: Daemon) -> None:
    versions(capsule, "asked")
    with window() as made:
        made.run([CTL, "rollback", "asked", "--to", "previous", "--wait"], capsule.environment)
        made.sees("Go back to entry ")
        capsule.apply(manifest("asked", f"{SERVE} # three", env={"VERSION": "three"}), "--wait")
        made.type("y\n")
        assert made.ends() == 0
    assert version(capsule, "asked") == "one"
    capsule.good("delete", "asked", "--yes")


def test_of_everything_what_was_not_in_the_plan_is_not_taken_away(capsule: Daemon) -> None:
    versions(capsule, "planned")
    then = newest(capsule)
    capsule.apply(manifest("planned", f"{SERVE} # three", env={"VERSION": "three"}), "--wait")
    with window() as made:
        made.run([CTL, "rollback", "--to", str(then), "--wait"], capsule.environment)
        made.sees("Go back to entry ")
        capsule.apply(manifest("sudden", SERVE), "--wait")
        made.type("y\n")
        made.sees("the machine was last changed at")
        assert made.ends() == 1
    assert version(capsule, "planned") == "three"
    assert {"planned", "sudden"} <= set(capsule.good("list", "-o", "name").split())
    capsule.good("delete", "planned", "sudden", "--yes")


def test_of_everything_a_fix_that_came_after_the_plan_is_not_overwritten(capsule: Daemon) -> None:
    versions(capsule, "mended")
    then = newest(capsule)
    capsule.apply(manifest("mended", f"{SERVE} # three", env={"VERSION": "three"}), "--wait")
    with window() as made:
        made.run([CTL, "rollback", "--to", str(then), "--wait"], capsule.environment)
        made.sees("Go back to entry ")
        capsule.apply(manifest("mended", f"{SERVE} # fixed", env={"VERSION": "fixed"}), "--wait")
        made.type("y\n")
        made.sees("the machine was last changed at")
        assert made.ends() == 1
    assert version(capsule, "mended") == "fixed"
    capsule.good("delete", "mended", "--yes")


def test_what_changed_meanwhile_is_left_alone_where_that_was_asked(capsule: Daemon) -> None:
    versions(capsule, "guarded")
    seen = str(capsule.data("get", "guarded")["desiredSeq"])
    capsule.good("rollback", "guarded", "--to", "previous", "--expect-seq", seen, "--dry-run")
    capsule.apply(manifest("guarded", f"{SERVE} # three", env={"VERSION": "three"}), "--wait")
    raced = capsule.ctl("rollback", "guarded", "--to", "previous", "--expect-seq", seen, "--yes")
    assert raced.returncode == 1 and "guarded was last changed at" in raced.stderr and seen in raced.stderr
    assert version(capsule, "guarded") == "three"
    all_of_it = capsule.ctl("rollback", "--to", seen, "--expect-seq", seen, "--yes")
    assert all_of_it.returncode == 1 and "the machine was last changed at" in all_of_it.stderr
    now = str(capsule.data("get", "guarded")["desiredSeq"])
    capsule.good("rollback", "guarded", "--to", seen, "--expect-seq", now, "--yes", "--wait")
    assert version(capsule, "guarded") == "two"
    capsule.good("delete", "guarded", "--yes")


def test_everything_to_a_moment(capsule: Daemon) -> None:
    capsule.apply(manifest("stays", SERVE), "--wait")
    capsule.apply(manifest("changes", f"{SERVE} # then"), "--wait")
    capsule.apply(manifest("goes", SERVE), "--wait")
    then = newest(capsule)
    capsule.apply(manifest("changes", f"{SERVE} # now"), "--wait")
    capsule.good("delete", "goes", "--yes")
    capsule.apply(manifest("comes", SERVE), "--wait")
    run = capsule.status("stays")["run"]
    capsule.good("rollback", "--to", str(then), "--yes", "--wait")
    names = capsule.good("list", "-o", "name").split()
    assert {"stays", "changes", "goes"} <= set(names)
    capsule.good("wait", "comes", "--for", "gone")
    assert capsule.status("stays")["run"] == run
    assert "# then" in capsule.good("get", "changes", "-o", "yaml")
    assert capsule.good("rollback", "--to", str(then), "--dry-run").strip() == "nothing to do"
    capsule.good("delete", "stays", "changes", "goes", "--yes")


def test_values_that_went_with_a_workload_bring_it_back_to_nobody(capsule: Daemon) -> None:
    capsule.apply(manifest("lost", SERVE, env={"TOKEN": "once"}), "--wait")
    then = newest(capsule)
    capsule.good("delete", "lost", "--yes")
    capsule.until(lambda: "no such sealed value" in capsule.ctl("rollback", "lost", "--to", str(then), "--yes").stderr, "its value is gone")  # fmt: skip
    assert "lost" not in capsule.good("list", "-o", "name").split()


def test_what_cannot_go_back_is_named_and_the_rest_goes(capsule: Daemon) -> None:
    capsule.good("volume", "create", "rolled", "16MiB")
    mounts = [{"volumeName": "rolled", "mountPath": "/data"}]
    capsule.apply(manifest("keeper", SERVE, mounts=mounts), "--wait")
    capsule.apply(manifest("other", f"{SERVE} # then"), "--wait")
    then = newest(capsule)
    capsule.good("delete", "keeper", "--yes")
    capsule.good("volume", "delete", "rolled", "--yes")
    capsule.apply(manifest("other", f"{SERVE} # now"), "--wait")
    planned = capsule.ctl("rollback", "--to", str(then), "--dry-run")
    assert planned.returncode == 1 and "not all of it can go back" in planned.stderr
    assert capsule.ctl("rollback", "--to", str(then), "--dry-run", "-o", "name").stdout == "workload/other\n"
    done = capsule.ctl("rollback", "--to", str(then), "--yes")
    assert done.returncode == 1 and "workload/other configured" in done.stdout
    assert "workload/keeper left as it is: its volume rolled is gone, and its data with it" in done.stderr
    asked = len(capsule.history("--type", "rollback.requested"))
    for how in ("--dry-run", "--yes"):
        again = capsule.ctl("rollback", "--to", str(then), how)
        assert again.returncode == 1 and "not all of it can go back" in again.stderr
        assert again.stdout.splitlines()[0].split() == ["WORKLOAD", "OUTCOME", "NOTE"], "none other is shown"
    assert len(capsule.history("--type", "rollback.requested")) == asked
    capsule.good("delete", "other", "--yes")


def test_a_volume_goes_back_to_a_snapshot(capsule: Daemon) -> None:
    capsule.good("volume", "create", "shot", "16MiB")
    mounts = [{"volumeName": "shot", "mountPath": "/data"}]
    capsule.apply(manifest("shooter", f"echo old > /data/it; {SERVE}", mounts=mounts), "--wait")
    none = capsule.ctl("rollback", "volume/shot", "--to", "before", "--yes")
    assert none.returncode == 1 and "has no snapshot before; it has none" in none.stderr
    capsule.good("volume", "snapshot", "shot", "before")
    then, seen = newest(capsule), str(capsule.data("volume", "get", "shot")["desiredSeq"])
    capsule.good("exec", "shooter", "--", "sh", "-c", "echo new > /data/it; sync")
    run, head = capsule.status("shooter")["run"], newest(capsule)
    plan = capsule.good("rollback", "volume/shot", "--to", str(then), "--dry-run")
    assert "volume/shot  restored   as in snapshot before, taken 20" in plan
    assert " UTC; what it has is kept as snapshot before-restore-" in plan
    assert "shooter      restarted  its present run ends" in plan and "StopRun" in plan
    assert newest(capsule) == head and capsule.status("shooter")["run"] == run
    early = capsule.ctl("rollback", "volume/shot", "--to", "1", "--dry-run")
    assert early.returncode == 1 and "no snapshot from before entry 1; it has before" in early.stderr
    ages_ago = capsule.ctl("rollback", "volume/shot", "--to", "1970-01-01T00:00Z", "--yes")
    assert ages_ago.returncode == 1 and "no snapshot from before entry 0; it has before" in ages_ago.stderr
    asked = capsule.ctl("rollback", "volume/shot", "--to", "before")
    assert asked.returncode == 2 and "nobody is there to ask" in asked.stderr and "restored" in asked.stdout
    raced = capsule.ctl("rollback", "volume/shot", "--to", "before", "--expect-seq", "1", "--yes")
    assert raced.returncode == 1 and "was last changed at" in raced.stderr
    why = ("--reason", "new was wrong", "--expect-seq", seen)
    done = capsule.good("rollback", "volume/shot", "--to", "before", *why, "--yes", "--wait")
    assert "volume/shot restored from before; shooter starts again" in done
    (told,) = capsule.history("shot", "--type", "rollback.requested")
    assert told["summary"] == "volume shot shall be as in snapshot before: new was wrong"
    (kept,) = (one for one in capsule.good("volume", "snapshots", "shot", "-o", "name").split() if one != "before")
    again = capsule.good("rollback", "volume/shot", "--to", kept, "--dry-run")
    assert f"as in snapshot {kept}, taken 20" in again and " UTC as a restore's safety snapshot; what it has" in again
    capsule.good("rollback", "volume/shot", "--to", kept, "--yes", "--wait")
    capsule.good("delete", "shooter", "--yes")
    capsule.good("volume", "delete", "shot", "--yes")


def test_the_newest_revision_that_did_well(capsule: Daemon) -> None:
    check = {"interval": "200ms", "retries": 2, "startPeriod": "0s"}
    capsule.apply(manifest("checked-back", SERVE, health={"exec": ["true"], **check}), "--wait")
    good = capsule.status("checked-back")["run"]
    capsule.apply(manifest("checked-back", SERVE, health={"exec": ["false"], **check}, restart="never"))
    capsule.good("wait", "checked-back", "--for", "running")
    capsule.good("rollback", "checked-back", "--to", "healthy", "--yes", "--wait")
    assert capsule.status("checked-back")["health"] == "healthy" and capsule.status("checked-back")["run"] > good
    capsule.good("delete", "checked-back", "--yes")


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (("rollback", "nobody", "--to", "1", "--yes"), 1, "there is no workload nobody"),
        (("rollback", "nobody", "--to", "healthy", "--yes"), 1, "One that was deleted comes back by `--to SEQ`"),
        (("rollback", "--to", "previous", "--yes"), 2, "'previous' is a revision of one workload: name it"),
        (("rollback", "data", "--to", "soon", "--yes"), 2, "to a snapshot of that name: volume/data"),
        (("rollback", "--to", "2000d", "--yes"), 1, "it was before the first entry"),
        (("rollback", "nobody", "--to", "1970-01-01T00:00Z", "--yes"), 1, "it was before the first entry"),
        (("rollback", "--to", "soon", "--yes"), 2, "--to 'soon' is no moment"),
        (("rollback", "--to", "999999999", "--yes"), 1, "there is no entry 999999999 yet"),
        (("rollback", "--to", "2200-01-01", "--yes"), 1, "that moment has not come yet"),
        (("rollback", "shelf/x", "--to", "1"), 2, "'shelf' cannot be rolled back"),
        (("rollback", "volume/x", "--to", "1", "--dry-run"), 1, "there is no volume x"),
        (("rollback", "--to", "1", "--reason", "x" * 501, "--dry-run"), 1, "at most 500 characters"),
    ],
)
def test_what_is_no_rollback(capsule: Daemon, line: tuple[str, ...], code: int, says: str) -> None:
    failed = capsule.ctl(*line)
    assert failed.returncode == code and says in failed.stderr, failed.stderr


def test_of_one_that_was_not_there_it_says_what_to_do(capsule: Daemon) -> None:
    before = newest(capsule)
    capsule.apply(manifest("late", SERVE), "--wait")
    failed = capsule.ctl("rollback", "late", "--to", str(before), "--yes")
    assert failed.returncode == 1 and "`capsulectl delete late` takes it away" in failed.stderr
    alone = capsule.ctl("rollback", "late", "--to", "previous", "--yes")
    assert alone.returncode == 1 and "late has no earlier revision that is remembered:" in alone.stderr
    capsule.good("delete", "late", "--yes")


def test_one_that_was_created_anew_goes_back_to_what_it_was_in_its_former_life(capsule: Daemon) -> None:
    capsule.apply(manifest("again", SERVE), "--wait")
    former = newest(capsule)
    capsule.good("delete", "again", "--yes")
    capsule.good("wait", "again", "--for", "gone")
    capsule.apply(manifest("again", "sleep 1000"), "--wait")
    failed = capsule.ctl("rollback", "again", "--to", "previous", "--yes")
    assert failed.returncode == 1 and "since it was created anew at entry" in failed.stderr
    assert "`--to SEQ` takes one from before that" in failed.stderr
    capsule.good("rollback", "again", "--to", str(former), "--yes")
    assert SERVE in capsule.good("get", "again", "-o", "json")
    capsule.good("delete", "again", "--yes")
