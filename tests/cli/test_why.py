"""`why` by the command line: who asked, what came of it, what to try next."""

import json

import pytest

from tests.support.daemon import SERVE, Daemon, manifest

pytestmark = pytest.mark.real


def test_a_workload_that_ends_again_and_again(capsule: Daemon) -> None:
    capsule.apply(manifest("looping", "exit 3", restart={"mode": "always", "backoffFirst": "100ms"}))
    told: list[str] = []

    def it_waits_to_run_again() -> bool:  # between two waits it runs, and nothing need be tried then
        told[:] = capsule.good("why", "looping").splitlines()
        return told[-1].startswith("Try:") and any("like it before)" in line for line in told)

    capsule.until(it_waits_to_run_again, "ends that are counted")
    assert told[0].startswith("looping ")
    assert any("looping created (docker.io/library/demo:1)" in line and "local(" in line for line in told)
    assert any("exited with code 3" in line for line in told)
    assert told[-1].startswith("Try:  `capsulectl logs looping")
    capsule.good("delete", "looping", "--yes")
    gone = capsule.good("why", "looping")
    assert gone.startswith("there is no workload looping any more\n") and "looping shall be gone" in gone


def test_a_workload_and_its_volume_of_one_name_are_told_apart(capsule: Daemon) -> None:
    capsule.good("volume", "create", "twin", "16MiB")
    capsule.apply(manifest("twin", SERVE, mounts=[{"volumeName": "twin", "mountPath": "/srv"}]), "--wait")
    capsule.good("stop", "twin", "--wait")
    capsule.good("volume", "resize", "twin", "32MiB")
    stopped = capsule.good("why", "twin")
    assert "twin shall stop" in stopped and "to grow" not in stopped
    assert "shall stop" not in capsule.good("why", "volume/twin")
    capsule.good("delete", "twin", "--yes")
    capsule.good("volume", "delete", "twin", "--yes")
    of_workload, of_volume = (capsule.good("why", name).splitlines() for name in ("workload/twin", "volume/twin"))
    assert of_workload[0] == "there is no workload twin any more" and of_workload[-1].endswith("  twin is gone")
    assert of_volume[0] == "there is no volume twin any more" and of_volume[-1].endswith("  volume twin is gone")


def test_a_volume_that_was_deleted_is_the_cause_and_who_starts_its_user_is_told(capsule: Daemon) -> None:
    text = manifest("robbed", SERVE, mounts=[{"volumeName": "loot", "mountPath": "/srv"}])
    capsule.apply(f"name: loot\nkind: Volume\nsize: 16MiB\n---\n{text}", "--wait")
    capsule.good("volume", "delete", "loot", "--force", "--yes")
    lines = capsule.good("why", "robbed").splitlines()
    assert "volume loot shall be gone, taken from robbed" in lines[-2]
    assert lines[-1].startswith("Try:  `capsulectl volume create loot SIZE`") and "apply robbed again" in lines[-1]
    assert "it begins once it is applied again" in " ".join(capsule.ctl("drift", "robbed").stdout.split())
    capsule.good("volume", "create", "loot", "16MiB")
    for verb, done in (("start", "shall run"), ("restart", "shall begin a new run")):
        told = capsule.ctl(verb, "robbed")
        assert told.returncode == 0 and told.stderr.startswith(
            f"robbed {done}, but cannot yet: volume loot does not exist any more: it is another one of the same name"
        )
    capsule.apply(text, "--wait")
    assert capsule.ctl("start", "robbed").stderr == "robbed shall run\n"
    capsule.good("delete", "robbed", "--yes")
    capsule.good("volume", "delete", "loot", "--yes")


def test_what_it_waits_for_is_explained_below_it(capsule: Daemon) -> None:
    capsule.apply(manifest("wanted", SERVE), "--wait")
    capsule.apply(json.dumps({**json.loads(manifest("waiting", SERVE)), "dependsOn": ["wanted"]}), "--wait")
    capsule.good("stop", "wanted", "--wait")
    capsule.good("restart", "waiting")
    capsule.until(lambda: "cannot start yet" in capsule.good("why", "waiting"), "it waits")
    told = capsule.good("why", "waiting")
    assert "it waits for wanted, which is stopped" in told
    assert "\n  wanted is stopped: " in told and "\n  Try:  `capsulectl start wanted` lets it run again" in told
    data = json.loads(capsule.good("why", "waiting", "-o", "json"))
    assert data["detail"] == "waiting" and [one["name"] for one in data["others"]] == ["wanted"]
    assert capsule.good("why", "waiting", "-o", "name").strip() == "workload/waiting"
    capsule.good("delete", "waiting", "wanted", "--yes")


def test_an_apply_that_was_refused_is_told_with_what_to_try(capsule: Daemon) -> None:
    ports = [{"containerPort": 18_481, "hostPort": 18_481}]
    host = {"ports": ports, "networkMode": "HOST"}
    capsule.apply(manifest("holder", SERVE, **host))
    refused = capsule.ctl("apply", "-f", "-", stdin=manifest("wants", SERVE, **host))
    assert refused.returncode == 1 and "which holder has" in refused.stderr
    never = capsule.ctl("why", "wants")
    assert never.returncode == 1 and "there is no workload wants" in never.stderr
    said = "an apply was refused: another workload has the host port (PORT_TAKEN, container.ports.hostPort)"
    assert f"by local(root): {said}. Try: choose another `hostPort`" in never.stderr
    capsule.apply(manifest("wants", SERVE), "--wait")
    assert "refused" not in capsule.good("why", "wants")
    assert capsule.ctl("apply", "-f", "-", stdin=manifest("wants", SERVE, **host)).returncode == 1
    told = capsule.good("why", "workload/wants").splitlines()
    assert told[0] == "wants runs" and "wants run 1 started" in told[-3] and told[-2].endswith(said)
    assert told[-1].startswith("Try:  choose another `hostPort`, or delete the workload that has it")
    capsule.good("delete", "holder", "wants", "--yes")


def test_a_machine_that_was_never_updated_has_no_postmortem(capsule: Daemon) -> None:
    failed = capsule.ctl("postmortem")
    assert failed.returncode == 1 and "nothing is remembered of an update" in failed.stderr


def test_nobody_of_that_name(capsule: Daemon) -> None:
    for name, says in (
        ("nobody", "there is no workload nobody"),
        ("volume/nobody", "nothing is remembered of a volume nobody"),
        ("shelf/nobody", "'shelf' has no history of its own"),
    ):
        failed = capsule.ctl("why", name)
        assert failed.returncode == 1 and says in failed.stderr, name
