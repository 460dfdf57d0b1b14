"""What an operator sees: output, streams and exit codes."""

import json
import subprocess
from datetime import datetime

import pytest
import yaml

from tests.support.daemon import CTL, SERVE, Daemon, manifest
from tests.support.nobody import as_user
from tests.support.programs import running

pytestmark = pytest.mark.real


def test_a_workload_lives_and_dies_by_the_command_line(capsule: Daemon) -> None:
    text = manifest("life", SERVE, env={"SECRET": "hunter2"})
    assert capsule.apply(text, "--wait") == "workload/life created\n"
    assert capsule.apply(text) == "workload/life unchanged\n"
    assert "life" in capsule.good("list") and capsule.good("list", "-o", "name").split().count("life") == 1
    assert capsule.good("logs", "life") == "ready\n"
    assert capsule.ctl("stop", "life", "--wait").stderr == "life has stopped\n"
    assert capsule.status("life")["phase"] == "WORKLOAD_PHASE_STOPPED"
    assert capsule.apply(text, "--wait") == "workload/life started\n"
    assert capsule.ctl("restart", "life").stderr == "life shall begin a new run\n"
    assert capsule.ctl("delete", "life").returncode == 2
    assert capsule.ctl("delete", "life", "--yes").returncode == 0
    assert capsule.ctl("get", "life").returncode == 1
    assert "hunter2" not in json.dumps(capsule.history())


def test_what_a_file_declares_goes_by_the_file(capsule: Daemon) -> None:
    both = f"{manifest('by-file', SERVE)}\n---\nname: by-file-data\nkind: Volume\nsize: 16MiB\n"
    file = capsule.scratch / "by-file.yaml"
    file.write_text(both)
    capsule.apply(both)
    assert capsule.ctl("delete", "-f", str(file)).returncode == 2
    planned = capsule.ctl("delete", "-f", str(file), "--dry-run", "-o", "name")
    assert (planned.stdout, planned.stderr) == ("by-file\n", "volumes stay: by-file-data\n")
    gone = capsule.ctl("rm", "-f", "-", "--yes", stdin=both)
    assert (gone.returncode, gone.stderr) == (0, "volumes stay: by-file-data\nby-file is gone\n")
    assert capsule.ctl("delete", "-f", str(file), "--yes").stderr.endswith("there was no by-file\n")
    assert "by-file-data" in capsule.good("volume", "list", "-o", "name").split()
    capsule.good("volume", "remove", "by-file-data", "--yes")


def test_all_is_what_a_list_has(capsule: Daemon) -> None:
    capsule.apply(manifest("of-all", SERVE))
    for verb in ("start", "stop", "delete"):
        planned = capsule.good(verb, "--all", "--dry-run", "-o", "name").split()
        assert sorted(planned) == sorted(capsule.good("ps", "-a", "-o", "name").split()) != [], verb
    assert "of-all" in capsule.good("restart", "--all", "--dry-run", "-o", "name").split()
    capsule.good("stop", "of-all", "--wait")
    assert "of-all" not in capsule.good("restart", "--all", "--dry-run", "-o", "name").split()
    asked = capsule.ctl("delete", "--all")
    assert asked.returncode == 2 and "nobody is there to ask" in asked.stderr
    assert capsule.status("of-all")["phase"]
    capsule.good("delete", "of-all", "--yes")


def test_several_volumes_are_shown_and_several_snapshots_forgotten(capsule: Daemon) -> None:
    for name in ("sev-a", "sev-b"):
        capsule.good("volume", "create", name, "16MiB")
    done = capsule.ctl("volume", "get", "sev-a", "nobody", "sev-b")
    assert done.returncode == 1 and done.stdout.count("Volume: ") == 2 and "\n\nVolume: " in done.stdout
    assert done.stderr.count("capsulectl: ") == 1 and "nobody" in done.stderr
    assert capsule.data("volume", "get", "sev-a")["name"] == "sev-a"
    assert [one["name"] for one in capsule.data("volume", "get", "sev-b", "sev-a")["volumes"]] == ["sev-b", "sev-a"]
    assert capsule.good("volume", "describe", "sev-b", "sev-a", "-o", "name") == "sev-b\nsev-a\n"
    then = capsule.data("volume", "get", "sev-a", "sev-b", "--at", "now")["volumes"]
    assert [one["name"] for one in then] == ["sev-a", "sev-b"]
    nobody = capsule.ctl("volume", "get", "sev-a", "nobody", "--at", "now", "-o", "name")
    assert (nobody.returncode, nobody.stdout) == (1, "sev-a\n") and "there was no volume nobody" in nobody.stderr
    for label in ("one", "two"):
        capsule.good("volume", "snapshot", "sev-a", label)
    gone = capsule.ctl("volume", "snapshot-delete", "sev-a", "one", "two", "none", "one", "--yes")
    assert gone.returncode == 0 and gone.stderr.splitlines() == [
        "snapshot one of volume sev-a is gone",
        "snapshot two of volume sev-a is gone",
        "there was no snapshot none of volume sev-a",
    ]
    capsule.good("volume", "delete", "sev-a", "sev-b", "--yes")


def test_what_is_not_asked_is_answered_all_the_same(capsule: Daemon) -> None:
    capsule.good("context", "add", "unasked", "--socket", "/nonexistent")
    capsule.good("context", "rename", "unasked", "unasked-new")
    capsule.good("context", "remove", "unasked-new", "--yes")
    capsule.good("image", "login", "unasked.lan", "--plain-http", "--no-check")
    capsule.good("image", "logout", "unasked.lan", "--yes")
    capsule.push_image("unasked:1")
    capsule.good("image", "delete", "unasked:1", "-y")


def test_a_wait_for_volumes_alone_is_not_about_other_workloads(capsule: Daemon) -> None:
    capsule.apply(manifest("beside", SERVE), "--wait")
    text = "name: alone\nkind: Volume\nsize: 16MiB\n"
    assert capsule.apply(text, "--wait") == "volume/alone created\n"
    assert capsule.apply(text, "--wait") == "volume/alone unchanged\n"
    for word in ("there was no snapshot none of volume alone",):
        assert word in capsule.ctl("volume", "snapshot-delete", "alone", "none", "--yes").stderr
    capsule.good("volume", "delete", "alone", "--yes")
    capsule.good("delete", "beside", "--yes")


def test_who_may_not_open_the_socket_is_not_told_that_nothing_runs(capsule: Daemon) -> None:
    done = subprocess.run(
        [*as_user(65534), CTL, "list"], env=capsule.environment | {"CAPSULE_CONFIG_DIR": "/nonexistent"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "you may not open it" in done.stderr and "make up" not in done.stderr


def test_an_output_that_takes_nothing_is_said_to_be_one(capsule: Daemon) -> None:
    for verb in (["list"], ["capsule", "info"], ["list", "-o", "yaml"], ["schema"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [CTL, *verb], env=capsule.environment, stdout=full, stderr=subprocess.PIPE, text=True,
                check=False,
            )  # fmt: skip
        assert done.returncode == 1, verb
        assert done.stderr == "capsulectl: the output could not be written: No space left on device\n", verb


def test_what_get_prints_can_be_applied_again(capsule: Daemon) -> None:
    capsule.apply(manifest("same", SERVE, env={"A": "1", "B": "2"}), "--wait")
    printed = capsule.good("get", "same", "-o", "yaml")
    assert "sealed:" in printed and capsule.apply(printed) == "workload/same unchanged\n"
    capsule.good("delete", "same", "--yes")


def test_diff_says_what_would_change_by_its_exit_code(capsule: Daemon) -> None:
    capsule.apply(manifest("differ", SERVE), "--wait")
    same = capsule.ctl("diff", "-f", "-", stdin=manifest("differ", SERVE))
    assert (same.returncode, same.stdout) == (0, "")
    other = capsule.ctl("diff", "-f", "-", stdin=manifest("differ", SERVE, user="web"))
    assert other.returncode == 1 and "+ container.user" in other.stdout
    assert capsule.ctl("diff", "-f", "/nowhere").returncode == 2
    capsule.good("delete", "differ", "--yes")


@pytest.mark.parametrize("verb", [("apply",), ("apply", "--dry-run"), ("diff",)], ids=" ".join)
def test_what_no_process_can_be_given_is_refused_by_its_field(capsule: Daemon, verb: tuple[str, ...]) -> None:
    for field, fields in (("env.A", {"env": {"A": "x" * 300_000}}), ("args", {"args": ["x" * 300_000]})):
        failed = capsule.ctl(*verb, "-f", "-", stdin=manifest("long", SERVE, **fields))
        assert failed.returncode in (1, 2) and f"container.{field}" in failed.stderr, failed.stderr[:2_000]
        assert len(failed.stderr) < 500
    assert capsule.ctl("get", "long").returncode == 1


def test_a_dry_run_writes_nothing_at_all(capsule: Daemon) -> None:
    def reads() -> list[str]:
        """What was read so far; looking at it is a read itself."""
        methods = [entry["body"]["method"] for entry in capsule.history("--reads", "--type", "call.read")]
        return [method for method in methods if not method.startswith("HistoryService.")]

    def marked() -> int:
        """A read of another kind, once it stands in the audit stream: what was read before it stands there, too."""
        marks = reads().count("IdentityService.KeyList")
        capsule.good("key", "list")
        capsule.until(lambda: reads().count("IdentityService.KeyList") > marks, "the read is in the audit stream")
        return int(capsule.data("journal", "stats")["lastSeq"])

    before = marked()
    out = capsule.apply(manifest("dry", SERVE, env={"A": "new-secret"}), "--dry-run")
    assert "dry created (dry run)" in out and "StartRun" in out
    assert capsule.ctl("diff", "-f", "-", stdin=manifest("dry", SERVE)).returncode == 1
    assert marked() == before
    assert reads()[-2:] == ["IdentityService.KeyList"] * 2, "nothing of the dry runs stands between"
    assert capsule.ctl("get", "dry").returncode == 1


@pytest.mark.parametrize("verb", ["stop", "restart", "delete", "start"])
def test_the_plan_of_a_dry_run_is_data_for_who_asks(capsule: Daemon, verb: str) -> None:
    capsule.apply(manifest("planned", SERVE), "--wait")
    if verb == "start":
        capsule.good("stop", "planned", "--wait")
    told = [line.split(maxsplit=2) for line in capsule.good(verb, "planned", "--dry-run").splitlines()[1:]]
    plan = json.loads(capsule.good(verb, "planned", "--dry-run", "-o", "json"))["plan"]
    assert told and [[one["effect"], one["object"]] for one in plan] == [line[:2] for line in told]
    assert yaml.safe_load(capsule.good(verb, "planned", "--dry-run", "-o", "yaml")) == {"plan": plan}
    assert capsule.good(verb, "planned", "--dry-run", "-o", "name") == "planned\n"
    done = capsule.ctl(verb, "planned", "-o", "json")
    assert done.returncode == 2 and "the plan that --dry-run shows" in done.stderr
    capsule.good("delete", "planned", "--yes")


def test_a_log_is_lines_of_json_for_who_asks(capsule: Daemon) -> None:
    for name in ("first", "second"):
        capsule.apply(manifest(name, f"echo {name}; sleep 0.3; echo bad >&2; sleep 0.3; {SERVE}"), "--wait")
    capsule.until(lambda: "ready" in capsule.good("logs", "first"), "it talked")
    capsule.until(lambda: "ready" in capsule.good("logs", "second"), "it talked")
    done = capsule.ctl("logs", "first", "second", "-o", "json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    expected = [("stdout", ""), ("stderr", "bad"), ("stdout", "ready")]
    assert done.stderr == "" and [(one["workload"], one["stream"], one["text"]) for one in told] == [
        (name, stream, text or name) for name in ("first", "second") for stream, text in expected
    ]
    assert all(datetime.fromisoformat(one["time"]).tzinfo for one in told)
    capsule.good("delete", "first", "second", "--yes")


def test_logs_follow_over_a_restart_and_end_with_the_workload(capsule: Daemon) -> None:
    # Pauses: what both streams write in one burst has no order that anybody could know.
    script = "for i in 1 2 3 4 5; do echo line $i; done; sleep 0.5; echo bad >&2; sleep 0.5; " + SERVE
    capsule.apply(manifest("talks", script), "--wait")
    capsule.until(lambda: "ready" in capsule.good("logs", "talks"), "it talked")
    tail = capsule.ctl("logs", "talks", "-n", "2")
    assert (tail.stdout, tail.stderr) == ("ready\n", "bad\n")
    assert capsule.ctl("logs", "talks", "--stream", "stderr").stdout == ""
    command = [CTL, "logs", "talks", "-f", "--stream", "stdout"]
    with running(command, env=capsule.environment, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        first = "".join(iter(follower.stdout.readline, "ready\n")) + "ready\n"  # it follows before the run ends
        capsule.good("restart", "talks", "--wait")
        capsule.until(lambda: "ready" in capsule.good("logs", "talks"), "it talked again")
        capsule.good("stop", "talks", "--wait")
        out = first + follower.communicate(timeout=20)[0]
    assert follower.returncode == 0 and out.count("line 1\n") == 2 and out.count("ready\n") == 2
    capsule.good("delete", "talks", "--yes")


def test_a_followed_log_may_begin_with_what_comes(capsule: Daemon) -> None:
    capsule.apply(manifest("ticks", "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.1; done"), "--wait")
    capsule.until(lambda: "5\n" in capsule.good("logs", "ticks"), "it ticked")
    assert capsule.good("logs", "ticks", "-n", "0") == ""
    assert capsule.good("logs", "ticks", "--tail", "all").startswith("1\n2\n")
    seen = int(capsule.good("logs", "ticks", "-n", "1"))
    command = [CTL, "logs", "ticks", "-n", "0", "-f"]
    with running(command, env=capsule.environment, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        first = int(follower.stdout.readline())
        assert seen < first and int(follower.stdout.readline()) == first + 1
        follower.terminate()
    capsule.good("delete", "ticks", "--yes")


def test_waiting_in_vain_exits_124_and_a_failure_1(capsule: Daemon) -> None:
    capsule.apply(manifest("vain", SERVE), "--wait")
    slow = capsule.ctl("wait", "vain", "--for", "gone", "--timeout", "0.5")
    assert slow.returncode == 124 and "vain is running" in slow.stderr
    failed = capsule.ctl(
        "apply", "-f", "-", "--wait", stdin=manifest("never", "exit 3", restart="NEVER", command=["/no"])
    )
    assert failed.returncode == 1 and "does not exist in the image" in failed.stderr
    capsule.good("delete", "vain", "never", "--yes")


def test_two_operators_race_and_one_is_told(capsule: Daemon) -> None:
    capsule.apply(manifest("raced", SERVE), "--wait")
    seq = capsule.data("get", "raced")["desiredSeq"]
    capsule.apply(manifest("raced", SERVE, user="web"), "--expect-seq", str(seq))
    late = capsule.ctl("apply", "-f", "-", "--expect-seq", str(seq), stdin=manifest("raced", SERVE, user="root"))
    assert late.returncode == 1 and f"not at {seq}" in late.stderr
    capsule.good("delete", "raced", "--yes")


def test_a_batch_is_all_or_nothing(capsule: Daemon) -> None:
    web = manifest("batch-a", SERVE, networkMode="HOST", ports=[{"containerPort": 8080, "hostPort": 8080}])
    taken = manifest("batch-b", SERVE, networkMode="HOST", ports=[{"containerPort": 8080, "hostPort": 8080}])
    done = capsule.ctl("apply", "-f", "-", stdin=f"{web}\n---\n{taken}")
    assert done.returncode == 1 and "8080/tcp, which batch-a has" in done.stderr
    assert "batch-a" not in capsule.good("list", "-o", "name").split()


def test_what_this_machine_lacks_is_refused_by_name(capsule: Daemon) -> None:
    vm = capsule.ctl(
        "apply", "-f", "-", stdin="{name: b, kind: MicroVM, microVm: {image: demo:1, backend: FIRECRACKER}}"
    )
    assert vm.returncode == 1 and "no driver here runs Firecracker" in vm.stderr
    image = capsule.ctl("apply", "-f", "-", stdin=manifest("b", SERVE, image="nowhere:1"))
    assert image.returncode == 1 and "image push" in image.stderr


def test_history_tells_who_and_why(capsule: Daemon) -> None:
    capsule.apply(manifest("told", SERVE), "--wait")
    capsule.good("delete", "told", "--yes")
    types = [event["type"] for event in capsule.history("told")]
    assert types[:3] == ["call.accepted", "workload.applied", "effect.started"] and types[-1] == "workload.removed"
    applied = next(event for event in capsule.history("told") if event["type"] == "workload.applied")
    tree = capsule.data("history", "show", str(applied["seq"]))["tree"]
    assert [node["event"]["type"] for node in tree][:3] == ["call.accepted", "workload.applied", "effect.started"]
    assert all(event["type"].startswith("workload.") for event in capsule.history("told", "--type", "workload."))
    mistaken = capsule.ctl("history", "--type", "workload.aplied")
    assert mistaken.returncode == 2 and "do you mean workload.applied" in mistaken.stderr and not mistaken.stdout
    assert capsule.ctl("history", "show", "999999").returncode == 1


def test_the_memory_proves_itself(capsule: Daemon, tmp_path: object) -> None:
    verified = capsule.data("journal", "verify")
    assert not verified.get("findings") and verified["checked"] == verified["headSeq"]
    assert "Verified" in capsule.good("replay", "--verify")
    early = capsule.ctl("replay", "--verify", "--to", "1")
    assert early.returncode == 1 and "up to 1," in early.stdout and "leave out --to" in early.stderr
    file = f"{tmp_path}/memory.capsule"
    capsule.good("journal", "export", file)
    assert capsule.ctl("journal", "export", file).returncode == 2
    offline = capsule.data("replay", "--file", file)
    online = capsule.data("replay", "--to", str(offline["seq"]))
    assert offline["stateHash"] == online["stateHash"]
    capsule.good("journal", "import", file, "--dir", f"{tmp_path}/copy")
    assert "Whole:    yes" in capsule.good("journal", "verify", "--dir", f"{tmp_path}/copy")
    assert capsule.ctl("journal", "import", file, "--dir", f"{tmp_path}/copy").returncode == 1


def test_images_are_listed_as_they_were_pushed(capsule: Daemon) -> None:
    (image,) = [one for one in capsule.data("image", "list") if one["name"].endswith("/demo:1")]
    assert image["digest"].startswith("sha256:") and image["sizeBytes"] > 500_000
    bad = capsule.ctl("image", "push", "/etc/passwd")
    assert bad.returncode == 1 and "no image archive" in bad.stderr


def test_every_read_can_be_had_as_data(capsule: Daemon) -> None:
    for read in (
        ["list"],
        ["image", "list"],
        ["capsule", "info"],
        ["journal", "stats"],
        ["journal", "verify"],
        ["replay"],
    ):
        for form in ("json", "yaml", "table", "wide", "name"):
            capsule.good(*read, "-o", form)


def test_what_is_printed_can_be_applied_again(capsule: Daemon) -> None:
    capsule.apply("name: again\nkind: Volume\nsize: 16MiB\n")
    capsule.apply(manifest("again", SERVE, env={"A": "b"}), "--wait")
    for form in ("yaml", "json"):
        for line in (("list",), ("get", "again"), ("volume", "list"), ("volume", "get", "again")):
            printed = capsule.good(*line, "-o", form)
            kind = "volume" if line[0] == "volume" else "workload"
            assert f"{kind}/again unchanged\n" in capsule.apply(printed), (line, form)
    assert capsule.good("apply", "-f", "-", "-o", "name", stdin=printed) == "volume/again\n"
    assert capsule.good("volume", "get", "volume/again", "-o", "name") == "again\n"
    assert {one["met"] for one in capsule.data("get", "again")["status"]["conditions"]} <= {True, False}
    capsule.good("delete", "again", "--yes")
    capsule.good("volume", "delete", "again", "--yes")
