"""The machine as it was, by the command line: --at, and what changed between two moments."""

import json

import pytest

from tests.support.daemon import SERVE, Daemon, manifest

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def moments(capsule: Daemon) -> dict[str, int]:
    """An entry before `past` was there, one while it ran, and one after it was gone."""
    seqs = {"before": newest(capsule)}
    capsule.apply(manifest("past", SERVE), "--wait")
    capsule.good("volume", "create", "then", "16MiB")
    seqs["ran"] = newest(capsule)
    capsule.apply(manifest("past", f"{SERVE} # changed"), "--wait")
    capsule.good("delete", "past", "--yes")
    capsule.good("volume", "delete", "then", "--yes")
    seqs["gone"] = newest(capsule)
    return seqs


def newest(capsule: Daemon) -> int:
    return int(json.loads(capsule.good("journal", "stats", "-o", "json"))["lastSeq"])


def test_what_there_was_is_listed_and_shown(capsule: Daemon, moments: dict[str, int]) -> None:
    ran = str(moments["ran"])
    for when, there in (("before", False), ("ran", True), ("gone", False)):
        names = capsule.good("list", "--at", str(moments[when]), "-o", "name").split()
        assert ("past" in names) is there, when
    page = capsule.good("get", "past", "--at", ran)
    assert "Phase:       Running" in page and "past run 1 started" in page and "shall be gone" not in page
    assert "then" in capsule.good("volume", "list", "--at", ran)
    assert "Size:       16 MiB" in capsule.good("volume", "get", "then", "--at", ran)
    images = [capsule.good("image", "list", *at).splitlines() for at in (("--at", ran), ())]
    then, now = ([line.split()[:2] for line in lines if line.startswith("demo:1 ")] for lines in images)
    assert then == now and then[0][1].startswith("sha256:")
    assert capsule.good("why", "past", "--at", ran).startswith("past runs\n")
    assert capsule.good("volume", "snapshots", "--at", ran, "-o", "json").strip() == "[]"
    assert capsule.good("key", "list", "--at", ran, "-o", "json").strip() == "[]"


def test_secrets_and_logins_are_shown_as_they_were_and_compared(capsule: Daemon) -> None:
    capsule.good("secret", "create", "of-then", stdin="one")
    then = str(newest(capsule))
    capsule.good("secret", "rotate", "of-then", stdin="another")
    capsule.good("image", "login", "then.lan:5000", "-u", "ada", "--password-stdin", "--no-check", stdin="hush-hush")
    logged_in = str(newest(capsule))
    capsule.good("image", "logout", "then.lan:5000")
    capsule.good("secret", "rm", "of-then", "--yes")
    shown = capsule.ctl("secret", "list", "--at", then)
    assert shown.stderr.startswith(f"as of entry {then}, 20") and shown.stdout.splitlines()[-1].split()[:2] == [
        "of-then",
        "1",
    ]
    (secret,) = json.loads(capsule.good("secret", "list", "--at", logged_in, "-o", "json"))
    assert (secret["name"], int(secret["version"])) == ("of-then", 2)
    assert "of-then" not in capsule.good("secret", "list", "--at", "now")
    assert capsule.good("image", "logins", "--at", logged_in, "-o", "name").split() == ["then.lan:5000"]
    assert capsule.good("image", "logins", "--at", then, "-o", "name").split() == []
    changed = capsule.ctl("diff", then, logged_in).stdout
    assert "secret/of-then\n  ~ version: 1 -> 2\n" in changed and '  + user: "ada"\n' in changed
    assert "hush" not in changed
    only = capsule.ctl("diff", then, logged_in, "registry/then.lan:5000", "-o", "name")
    assert only.stdout.split() == ["registry/then.lan:5000"]


def test_drift_is_told_as_it_was(capsule: Daemon) -> None:
    capsule.apply(manifest("drifted", "exit 3", restart={"mode": "always", "backoffFirst": "1h"}))
    capsule.until(lambda: "another run follows" in capsule.good("drift", "drifted", "-o", "wide"), "it waits")
    then, now = str(newest(capsule)), capsule.good("drift", "drifted", "-o", "name")
    capsule.good("delete", "drifted", "--yes")
    shown = capsule.ctl("drift", "workload/drifted", "--at", then, "-o", "name")
    assert shown.returncode == 0 and shown.stdout == now == "workload/drifted\n"
    assert shown.stderr.startswith(f"as of entry {then}, 20")
    labelled = capsule.ctl("drift", "--at", then, "--label", "intended", "-o", "json")
    assert labelled.returncode == 1  # as without --at: a label was asked for
    found = json.loads(labelled.stdout)
    assert str(found["seq"]) == then and "workload/drifted" in [one["object"] for one in found["differences"]]
    assert capsule.ctl("drift", "--at", then, "--label", "foreign").stderr.endswith("everything was as it is wanted\n")


def test_the_moment_that_is_meant_is_said_beside_it(capsule: Daemon, moments: dict[str, int]) -> None:
    shown = capsule.ctl("list", "--at", str(moments["ran"]))
    assert shown.stderr.startswith(f"as of entry {moments['ran']}, 20")
    assert capsule.ctl("list", "--at", "500 d ago").stderr.strip() == "as of before the first entry"
    assert capsule.ctl("list", "--at", "now", "-o", "name").stdout == capsule.good("list", "-o", "name")


def test_what_was_shown_can_be_applied_again(capsule: Daemon, moments: dict[str, int]) -> None:
    shown = capsule.good("get", "past", "--at", str(moments["ran"]), "-o", "yaml")
    assert "workload/past created (dry run)" in capsule.good("apply", "-f", "-", "--dry-run", stdin=shown)


def test_what_changed_between_two_moments(capsule: Daemon, moments: dict[str, int]) -> None:
    changed = capsule.ctl("diff", str(moments["before"]), str(moments["ran"]), "past")
    assert changed.returncode == 1
    assert changed.stdout.startswith("workload/past\n") and '  + status.phase: "running"\n' in changed.stdout
    assert changed.stderr == f"from entry {moments['before']} to {moments['ran']}\n"
    back = capsule.ctl("diff", str(moments["ran"]), str(moments["before"]), "volume/then", "-o", "json")
    assert {one["op"] for one in json.loads(back.stdout)} == {"remove"}
    assert capsule.ctl("diff", "now", "now").returncode == 0


def test_sizes_are_told_as_people_read_them(capsule: Daemon) -> None:
    capsule.good("volume", "create", "wide", "64MiB")
    before = newest(capsule)
    try:
        capsule.good("volume", "resize", "wide", "1537MiB")
        grown = capsule.ctl("diff", str(before), "now", "volume/wide")
        assert "  ~ size: 64 MiB -> 1.5 GiB (1611661312)\n" in grown.stdout
        plainly = json.loads(capsule.ctl("diff", str(before), "now", "volume/wide", "-o", "json").stdout)
        assert {"67108864", "1611661312"} <= {one.get(side) for one in plainly for side in ("old", "new")}
    finally:
        capsule.good("volume", "delete", "wide", "--yes")


def test_a_volume_that_was_made_again_under_its_name_is_told_as_another(capsule: Daemon) -> None:
    capsule.good("volume", "create", "anew", "64MiB")
    before = newest(capsule)
    capsule.good("volume", "delete", "anew", "--yes")
    capsule.good("volume", "create", "anew", "64MiB")
    try:
        differs = capsule.ctl("diff", str(before), "now", "volume/anew")
        assert differs.returncode == 1 and "(another one under this name)\n" in differs.stdout
        (uid, *_) = json.loads(capsule.ctl("diff", str(before), "now", "volume/anew", "-o", "json").stdout)
        assert (uid["name"], uid["path"]) == ("volume/anew", "uid") and int(uid["old"]) < before < int(uid["new"])
    finally:
        capsule.good("volume", "delete", "anew", "--yes")


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (("list", "--at", "soon"), 2, "--at 'soon' is no moment"),
        (("list", "--at", "999999999"), 1, "there is no entry 999999999 yet"),
        (("list", "--at", "2200-01-01"), 1, "that moment has not come yet: by the capsule's clock it is 20"),
        (("list", "--at", "boot:-99"), 1, "before this one"),
        (("list", "--at", "7", "-w"), 2, "use one of them"),
        (("drift", "--at", "7", "-w"), 2, "use one of them"),
        (("drift", "nobody", "--at", "1"), 2, "nothing was called nobody then"),
        (("drift", "--at", "soon"), 2, "--at 'soon' is no moment"),
        (("secret", "list", "--at", "soon"), 2, "--at 'soon' is no moment"),
        (("update", "status", "--at", "1"), 1, "no slots are known of then"),
        (("update", "history", "--at", "1"), 1, "no slots are known of then"),
        (("update", "key", "list", "--at", "1"), 1, "no slots are known of then"),
        (("get", "nobody", "--at", "1"), 1, "there was no workload nobody then"),
        (("volume", "get", "nobody", "--at", "1"), 1, "there was no volume nobody then"),
        (("diff",), 2, "give manifests (-f FILE), or two moments"),
        (("diff", "1"), 2, "or two moments"),
        (("diff", "1", "soon"), 2, "the second moment 'soon' is no moment"),
        (("diff", "1", "999999999"), 2, "there is no entry 999999999 yet"),
        (("diff", "2200-01-01", "now"), 2, "that moment has not come yet"),
        (("diff", "1", "2", "-f", "x.yaml"), 2, "not both"),
        (("diff", "1", "now", "nobody"), 2, "nothing was called nobody then"),
        (("why", ""), 2, "is a variable unset?"),
        (("why", "volume/"), 1, "'volume/' names nothing"),
    ],
)
def test_what_is_no_moment(capsule: Daemon, line: tuple[str, ...], code: int, says: str) -> None:
    failed = capsule.ctl(*line)
    assert failed.returncode == code and says in failed.stderr, failed.stderr
