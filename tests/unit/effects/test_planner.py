"""Given this state, then these effects: one goal a workload at a time, and none when all is as it was declared."""

from collections.abc import Callable
from typing import Unpack

import pytest
from msgspec.structs import replace

from effects.goals import (
    AttachNetwork,
    CleanRun,
    DetachNetwork,
    Effect,
    EnsureImage,
    EnsureNetwork,
    EnsureSecretFiles,
    MountVolume,
    RemoveSecretFiles,
    RemoveWorkload,
    StartRun,
    StopRun,
    detail_of,
    kind_of,
    run_of,
)
from effects.planner import plan, plan_object
from effects.runs.protocol import MountedVolume
from effects.runs.translation import run_spec
from effects.secrets.protocol import SecretDirectory
from journal.events import DaemonStarted, EffectFailed, EffectStarted, NetworkDrifted, WorkloadLost
from journal.specs import DriftPolicy, ImagePin, MicroVM, Network, PlacedSecret, PortMapping, VolumeMount
from projections.intents import CreateVolume, Delete, Restart, Start, Stop
from projections.network import Mapping, wanted_mappings
from projections.phases import RunPhase
from projections.rollback import missing_images
from tests.support.story import Declaring, Story, declared

Told = Callable[[Story], object]


def story_of(*told: Told) -> Story:
    story = Story()
    for one in told:
        one(story)
    return story


def applied(*args: str, **fields: Unpack[Declaring]) -> Told:
    return lambda story: story.apply(declared("web", *args, **fields))


def starts(story: Story) -> None:
    story.run_starts("web")


def begins(story: Story) -> None:
    story.tell(EffectStarted("StartRun", "web", 1, run=1, revision=1))


def begins_to_stop(story: Story) -> None:
    story.tell(EffectStarted("StopRun", "web", 1, run=1))


def ends(code: int) -> Told:
    return lambda story: story.run_ends("web", code)


def cleaned(story: Story) -> None:
    story.cleaned("web")


def vanishes(story: Story) -> None:
    story.tell(WorkloadLost("web", 1, 1, reason="vanished"))


def called(intent: Stop | Start | Restart | Delete) -> Told:
    return lambda story: story.call(intent)


def reboots(story: Story) -> None:
    story.tell(DaemonStarted(mode="hosted", previous="crash"))
    story.reboot("boot-2")


STOP, START, RESTART, DELETE = (called(kind("web")) for kind in (Stop, Start, Restart, Delete))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([], []),
        ([applied()], [(StartRun, 1)]),
        ([applied(desired="stopped")], []),
        ([applied(), begins], [(StartRun, 1)]),
        ([applied(), starts], []),
        ([applied(), starts, STOP], [(StopRun, 1)]),
        ([applied(), starts, STOP, begins_to_stop], [(StopRun, 1)]),
        ([applied(), starts, STOP, ends(0)], [(CleanRun, 1)]),
        ([applied(), starts, STOP, ends(0), cleaned], []),
        ([applied(), starts, STOP, ends(0), cleaned, START], [(StartRun, 2)]),
        ([applied(), STOP], []),
        ([applied(), begins, STOP], [(StopRun, 1)]),
        ([applied(), starts, RESTART], [(StopRun, 1)]),
        ([applied(), starts, RESTART, ends(0), cleaned], [(StartRun, 2)]),
        ([applied(), RESTART], [(StartRun, 1)]),
        ([applied(), starts, applied("other")], [(StopRun, 1)]),
        ([applied(), starts, applied("other"), ends(0), cleaned], [(StartRun, 2)]),
        ([applied(), starts, applied(desired="stopped")], [(StopRun, 1)]),
        ([applied(), starts, ends(1)], [(CleanRun, 1)]),
        ([applied(), starts, ends(1), cleaned], [(StartRun, 2)]),
        ([applied(restart="never"), starts, ends(1), cleaned], []),
        ([applied(restart="on-failure"), starts, ends(0), cleaned], []),
        ([applied(restart="on-failure"), starts, ends(2), cleaned], [(StartRun, 2)]),
        ([applied(), starts, vanishes], [(CleanRun, 1)]),
        ([applied(), starts, vanishes, cleaned], [(StartRun, 2)]),
        ([applied(), starts, reboots], [(CleanRun, 1)]),
        ([applied(), starts, reboots, cleaned], [(StartRun, 2)]),
        ([applied(restart="never"), starts, reboots, cleaned], []),
        ([applied(), DELETE], [(RemoveWorkload, 0)]),
        ([applied(), starts, DELETE], [(StopRun, 1)]),
        ([applied(), starts, DELETE, ends(0)], [(RemoveWorkload, 0)]),
        ([applied(), starts, ends(1), DELETE], [(RemoveWorkload, 0)]),
    ],
)
def test_what_is_due_follows_from_what_happened(told: list[Told], expected: list[tuple[type[Effect], int]]) -> None:
    assert [(type(goal), run_of(goal)) for goal in plan(story_of(*told).machine)] == expected


def test_goals_come_by_name_and_each_for_itself() -> None:
    story = Story()
    story.apply(declared("web"), declared("db"), declared("job", desired="stopped"))
    story.run_starts("db")
    story.call(Stop("db"))
    assert [(kind_of(goal), goal.name) for goal in plan(story.machine)] == [("StopRun", "db"), ("StartRun", "web")]


def test_a_start_says_everything_that_the_driver_needs() -> None:
    story = story_of(applied("serve"))
    (goal,) = plan(story.machine)
    web = story["web"]
    assert goal == StartRun("web", web.uid, 1, web.revision, web.spec, None, 1)


def test_a_stop_takes_the_grace_of_the_declaration() -> None:
    (goal,) = plan(story_of(applied(), starts, STOP).machine)
    assert isinstance(goal, StopRun) and goal.grace_ms == 10_000


def failed(story: Story, permanent: bool = False) -> Effect:
    (goal,) = plan(story.machine)
    story.begin(goal)
    delay = 0 if permanent else 500 * goal.attempt
    story.tell(
        EffectFailed(
            kind_of(goal), "web", goal.uid, "NO_SPACE", "disk full", run=run_of(goal), attempt=goal.attempt,
            retry_delay_ms=delay, permanent=permanent,
        )
    )  # fmt: skip
    return goal


@pytest.mark.parametrize(
    "told",
    [
        [applied()],
        [applied(), starts, STOP],
        [applied(restart="never"), starts, ends(1)],
        [applied(), DELETE],
        [applied(network="bridge")],
    ],
    ids=["start", "stop", "clean", "remove", "network"],
)
def test_what_failed_is_tried_again_but_never_at_once(told: list[Told]) -> None:
    story = story_of(*told)
    for attempt in (1, 2, 3):
        goal = failed(story)
        (again,) = plan(story.machine)
        assert type(again) is type(goal) and (goal.attempt, again.attempt) == (attempt, attempt + 1)
        assert again.not_before is not None
        assert again.not_before.mono_ns == story.mono + 500_000_000 * attempt and again.not_before.boot == story.boot
        story.pass_time(60)


def test_trouble_with_the_start_of_a_run_keeps_nobody_from_fetching_another_image() -> None:
    story = story_of(applied("serve", network="bridge"))
    while not isinstance(goal := plan(story.machine)[0], StartRun):
        story.reach(goal)
    story.begin(goal)
    elsewhere = ImagePin("docker.io/library/other:1", "sha256:" + "5" * 64, "sha256:" + "6" * 64)
    story.apply(replace(declared("web", "other", pin=elsewhere), image_ref=elsewhere.ref))
    # What was begun comes to its end after the word that made it unwanted.
    story.tell(EffectFailed("StartRun", "web", goal.uid, "ENTRYPOINT_MISSING", "no", run=goal.run, permanent=True))
    assert isinstance(plan(story.machine)[0], EnsureImage)
    story.converge()
    web = story["web"]
    assert web.run is not None and (web.run.phase, web.run.revision) == (RunPhase.RUNNING, web.revision)
    assert not web.attached and not web.address, "what is not on the bridge any more has left it"


def test_cleaning_does_not_wait_for_the_restarts_back_off_and_a_failure_of_it_does_not_end_it() -> None:
    story = story_of(applied(), starts, ends(1))
    (goal,) = plan(story.machine)
    assert isinstance(goal, CleanRun) and goal.not_before is None
    hold = story["web"].hold
    failed(story)
    (again,) = plan(story.machine)
    assert isinstance(again, CleanRun) and again.not_before is not None and hold is not None
    assert again.not_before.mono_ns < hold.mono_ns
    story.reach(again)
    (start,) = plan(story.machine)
    assert isinstance(start, StartRun) and start.not_before == hold and start.attempt == 1


def test_what_cannot_start_as_it_was_declared_waits_for_another_word() -> None:
    story = story_of(applied())
    failed(story, permanent=True)
    assert plan(story.machine) == ()
    story.call(Restart("web"))
    assert [type(goal) for goal in plan(story.machine)] == [StopRun]
    story = story_of(applied())
    failed(story, permanent=True)
    reboots(story)
    assert [type(goal) for goal in plan(story.machine)] == [CleanRun]
    story.call(Delete("web"))
    assert [type(goal) for goal in plan(story.machine)] == [RemoveWorkload]


def test_a_back_off_of_another_boot_holds_nothing_up() -> None:
    story = story_of(applied(), starts, ends(1), reboots, cleaned)
    (goal,) = plan(story.machine)
    assert isinstance(goal, StartRun) and goal.not_before is None


# --- the network -------------------------------------------------------------------------------------------------

PORTS = (PortMapping(80, 8080),)


def test_the_bridge_comes_before_the_link_and_the_link_before_the_run() -> None:
    story = story_of(applied(network="bridge", ports=PORTS))
    kinds = []
    while goals := plan(story.machine):
        (goal,) = goals
        kinds.append(type(goal))
        story.reach(goal)
    assert kinds == [EnsureNetwork, AttachNetwork, StartRun]
    assert plan(story.machine) == ()


def test_the_rules_hold_the_mappings_of_what_shall_run() -> None:
    story = story_of(applied(network="bridge", ports=PORTS))
    (goal,) = plan(story.machine)
    assert isinstance(goal, EnsureNetwork)
    assert goal.mappings == (Mapping("tcp", 8080, "", story["web"].address, 80),)
    story.converge()
    story.call(Stop("web"))
    story.reach(plan(story.machine)[0])
    (goal,) = plan(story.machine)
    assert isinstance(goal, EnsureNetwork) and goal.mappings == ()


def test_another_hands_drift_is_mended_while_the_run_goes_on() -> None:
    story = story_of(applied(network="bridge"))
    story.converge()
    story.tell(NetworkDrifted("rules"))
    assert [type(goal) for goal in plan(story.machine)] == [EnsureNetwork]
    story.converge()
    story.tell(NetworkDrifted("link", "web", 1))
    assert [type(goal) for goal in plan(story.machine)] == [AttachNetwork]


def outlasting(permanent: bool, network: Network = "bridge", drift: DriftPolicy = "repair") -> Story:
    """A run on the bridge goes on as it was declared before: the image of the next one cannot be had."""
    story = Story()
    story.apply(declared("web", network="bridge", ports=PORTS, drift=drift))
    story.converge()
    pin = ImagePin("docker.io/library/other:1", "sha256:" + "5" * 64, "sha256:" + "6" * 64)
    ports = (PortMapping(80, 9090),) if network == "bridge" else ()
    successor = declared("web", "other", pin=pin, network=network, ports=ports, drift=drift)
    story.apply(replace(successor, image_ref=pin.ref))
    failed(story, permanent)
    assert plan(story.machine) == () if permanent else isinstance(plan(story.machine)[0], EnsureImage)
    return story


DRIFTS = {"EnsureNetwork": NetworkDrifted("rules"), "AttachNetwork": NetworkDrifted("link", "web", 1)}


@pytest.mark.parametrize("permanent", [True, False], ids=["given up", "tried again"])
@pytest.mark.parametrize("mends", DRIFTS)
def test_another_hands_drift_is_mended_while_the_image_of_the_next_run_cannot_be_had(
    mends: str, permanent: bool
) -> None:
    story = outlasting(permanent)
    story.tell(DRIFTS[mends])
    (goal,) = plan(story.machine)
    assert kind_of(goal) == mends
    story.reach(goal)
    assert story.machine.network.foreign is None and story["web"].unlinked is None
    assert [kind_of(one) for one in plan(story.machine)] == ([] if permanent else ["EnsureImage"])


@pytest.mark.parametrize("network", ["bridge", "host"])
def test_the_rules_are_those_of_the_run_that_goes_on_until_its_successor_begins(network: Network) -> None:
    story = outlasting(True, network)
    address, bridge = story["web"].address, story.machine.network
    assert bridge.ensured_seq == bridge.changed_seq, "a watch that finds them flushed may say so"
    story.tell(DRIFTS["EnsureNetwork"])
    (goal,) = plan(story.machine)
    assert isinstance(goal, EnsureNetwork)
    assert goal.mappings == (Mapping("tcp", 8080, "", address, 80),)
    story.reach(goal)
    story.run_ends("web", 1)
    (goal,) = plan(story.machine)
    assert isinstance(goal, EnsureNetwork)
    assert goal.mappings == ((Mapping("tcp", 9090, "", address, 80),) if network == "bridge" else ())


def test_a_host_port_that_another_was_given_meanwhile_is_that_ones() -> None:
    story = outlasting(permanent=True)
    story.apply(declared("db", network="bridge", ports=PORTS))
    db = Mapping("tcp", 8080, "", story["db"].address, 80)
    assert wanted_mappings(story.machine) == (db,)
    story.converge()
    assert wanted_mappings(story.machine) == (db,)
    pin = ImagePin("docker.io/library/third:1", "sha256:" + "7" * 64, "sha256:" + "8" * 64)
    story.apply(replace(declared("db", "third", pin=pin, network="bridge"), image_ref=pin.ref))
    assert wanted_mappings(story.machine) == (db,), "of two runs that go on, the one that was declared later has it"
    story.call(Stop("db"))
    assert wanted_mappings(story.machine) == (Mapping("tcp", 8080, "", story["web"].address, 80),)


@pytest.mark.parametrize("mends", DRIFTS)
def test_what_its_policy_leaves_so_is_left_so_there_too(mends: str) -> None:
    story = outlasting(permanent=True, drift="report")
    story.tell(DRIFTS[mends])
    assert plan(story.machine) == ()


def test_a_link_that_the_next_run_will_not_have_is_neither_taken_nor_made_again_before_that() -> None:
    story = outlasting(permanent=True, network="host")
    story.tell(DRIFTS["AttachNetwork"])
    assert plan(story.machine) == ()


@pytest.mark.parametrize("permanent", [True, False], ids=["given up", "tried again"])
def test_what_fails_of_mending_takes_turns_with_the_image_and_neither_is_tried_at_once(permanent: bool) -> None:
    story = outlasting(permanent)
    story.tell(DRIFTS["EnsureNetwork"])
    goals = []
    for _ in range(6):
        (goal,) = plan(story.machine)
        goals.append(goal)
        failed(story)
        story.pass_time(60)
    turns = ["EnsureNetwork"] * 6 if permanent else ["EnsureNetwork", "EnsureImage"] * 3
    assert list(map(kind_of, goals)) == turns, "what is given up has no turn"
    waits = [goal.not_before is not None for goal in goals]
    assert waits == [not permanent, *[True] * 5], "what is given up has no pause of its own"
    assert [goal.attempt for goal in goals] == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("mends", DRIFTS)
def test_an_image_that_is_given_up_stays_so_whatever_comes_of_mending(mends: str) -> None:
    story = outlasting(permanent=True)
    told = story["web"].trouble
    assert told is not None and (told.effect, told.permanent) == ("EnsureImage", True)
    story.tell(DRIFTS[mends])
    failed(story)
    kept = story["web"].trouble
    assert kept is not None and replace(kept, attempt=told.attempt) == told
    assert not story["web"].hold_until_wall, "nobody is told that it is tried again"
    (goal,) = plan(story.machine)
    assert kind_of(goal) == mends and goal.not_before is not None
    story.pass_time(60)
    story.reach(goal)
    assert plan(story.machine) == () and story["web"].trouble == told
    story.tell(DRIFTS[mends])
    (goal,) = plan(story.machine)
    assert (kind_of(goal), goal.attempt, goal.not_before) == (mends, 2, None), "the tries before were another's"


def test_a_workload_that_leaves_the_bridge_leaves_nothing_there() -> None:
    story = story_of(applied(network="bridge"))
    story.converge()
    story.apply(declared("web", network="host"))
    kinds = []
    while goals := plan(story.machine):
        kinds.append(type(goals[0]))
        story.reach(goals[0])
    assert DetachNetwork in kinds and story["web"].address == ""


# --- goals as data -----------------------------------------------------------------------------------------------


def test_every_goal_can_be_told_and_says_which_run_it_is_about() -> None:
    spec = story_of(applied("serve"))["web"].spec
    file = PlacedSecret("db", 2, "sealed", "/run/secrets/db")
    goals: list[tuple[Effect, str, int]] = [
        (EnsureNetwork("web", 1, 5), "the bridge with 0 port mappings", 0),
        (EnsureNetwork("web", 1, 5, (Mapping("tcp", 1, "", "", 1),)), "the bridge with 1 port mapping", 0),
        (AttachNetwork("web", 1, "172.20.254.2"), "a link to the bridge with address 172.20.254.2", 0),
        (DetachNetwork("web", 1), "no link to the bridge", 0),
        (EnsureSecretFiles("web", 1, (file,)), "/run/secrets/db with version 2 of secret db", 0),
        (RemoveSecretFiles("web", 1), "no secrets in memory", 0),
        (EnsureImage("web", 1, spec.image), f"fetch {spec.image.ref} ({spec.image.platform_digest[:19]})", 0),
        (StartRun("web", 1, 3, 1, spec), f"start run 3 from {spec.image.ref}", 3),
        (StopRun("web", 1, 3, 1_500), "stop run 3, within 1.5 s", 3),
        (CleanRun("web", 1, 3), "clean up after run 3", 3),
        (RemoveWorkload("web", 1), "remove the container, its file system and its logs", 0),
        (RemoveWorkload("web", 1, kind="microvm"), "remove the microVM, its file system and its logs", 0),
    ]
    for goal, text, run in goals:
        assert (detail_of(goal), run_of(goal), kind_of(goal)) == (text, run, type(goal).__name__)


# --- microVMs ----------------------------------------------------------------------------------------------------


def test_every_goal_of_a_microvm_says_whose_driver_it_is_for() -> None:
    story = Story()
    story.call(CreateVolume("data", 16 << 20))
    story.reach(plan(story.machine)[0])
    one = declared("web", vm=MicroVM())
    story.apply(replace(one, spec=replace(one.spec, mounts=(VolumeMount("data", "/data"),))))
    kinds: dict[str, str] = {}
    while story["web"].run is None or story["web"].run.phase is not RunPhase.RUNNING:
        (goal,) = plan(story.machine)
        kinds[kind_of(goal)] = goal.kind if isinstance(goal, AttachNetwork | MountVolume) else ""
        story.reach(goal)
    assert kinds == {"EnsureNetwork": "", "AttachNetwork": "microvm", "MountVolume": "microvm", "StartRun": ""}
    story.call(Delete("web"))
    while goals := plan(story.machine):
        assert getattr(goals[0], "kind", "microvm") == "microvm", goals[0]
        kinds[kind_of(goals[0])] = "microvm"
        story.reach(goals[0])
    assert {"StopRun", "UnmountVolume", "RemoveWorkload"} <= kinds.keys()


def test_a_kernel_of_its_own_needs_no_image() -> None:
    story, nothing = Story(holds=()), ImagePin("", "", "")
    one = declared("web", vm=MicroVM(kernel_path="/srv/vmlinuz", rootfs_path="/srv/root.img"))
    story.apply(replace(one, spec=replace(one.spec, image=nothing), image_ref="", resolved=nothing))
    story.converge()
    assert story["web"].run is not None and story["web"].run.phase is RunPhase.RUNNING
    assert detail_of(StartRun("web", 1, 1, 1, story["web"].spec)) == "start run 1 from /srv/vmlinuz"
    assert missing_images(story.machine, [story["web"]]) == ()


def test_the_goal_of_an_object_is_asked_for_by_its_key() -> None:
    story = story_of(applied())
    story.call(CreateVolume("data", 16 << 20))
    volume, workload = plan(story.machine)
    assert (plan_object(story.machine, "volume/data"), plan_object(story.machine, "web")) == (volume, workload)
    assert plan_object(story.machine, "volume/web") is plan_object(story.machine, "data") is None


def test_a_run_is_told_to_its_driver_as_the_goal_has_it() -> None:
    spec = replace(story_of(applied("serve"))["web"].spec, hostname="attic", cap_drop=("CHOWN",), stop_signal="INT")
    volumes, secrets = (
        (MountedVolume("/volumes/data.2", "/data", False),),
        (SecretDirectory("/run/web", "/run/secrets"),),
    )
    run = run_spec(StartRun("web", 7, 3, 5, spec), (("A", "b"),), "/netns/web", "172.20.254.1", volumes, secrets)
    assert (run.name, run.uid, run.run, run.revision) == ("web", 7, 3, 5)
    assert (run.env, run.namespace, run.nameserver) == ((("A", "b"),), "/netns/web", "172.20.254.1")
    assert (run.volumes, run.secrets, run.image) == (volumes, secrets, spec.image.platform_digest)
    same = {one for one in run.__struct_fields__ if one in spec.__struct_fields__} - {"env", "image", "secrets"}
    assert {"args", "hostname", "cap_drop", "stop_signal", "resources", "seccomp"} <= same
    assert all(getattr(run, one) == getattr(spec, one) for one in same)
