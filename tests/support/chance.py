"""Chance in the domain's words: any event at all, any call at all, and whole histories as a daemon could have lived them.

Names and numbers come from a small world, so that what is drawn meets what was drawn before.
"""

import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from effects.goals import StartRun, kind_of, run_of
from effects.planner import plan
from journal.events import (
    EVENT_TYPES,
    DaemonStarted,
    EffectFailed,
    Event,
    ImageLost,
    ImagePushed,
    PushedImage,
    VolumeLost,
    WorkloadLost,
)
from journal.specs import ContainerSpec, ImagePin, PortMapping, RestartPolicy, SealedEnv, VolumeMount
from projections.intents import (
    Apply,
    CreateVolume,
    Declared,
    DeclaredVolume,
    Delete,
    DeleteSnapshot,
    DeleteVolume,
    ImportVolume,
    Intent,
    ResizeVolume,
    Restart,
    RestoreVolume,
    Rollback,
    Start,
    Stop,
    TakeSnapshot,
)
from projections.phases import LIVE
from tests.support.story import OTHER_PIN, PIN, Story

NAMES = ("web", "db", "job")
EFFECTS = ("StartRun", "StopRun", "CleanRun", "RemoveWorkload")
SMALL = st.integers(0, 12)
# What a field is called says what it means: these meet each other only when they come from few values.
_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(NAMES),
    "object": st.sampled_from(NAMES),
    "effect": st.sampled_from(EFFECTS),
    "uid": SMALL,
    "run": SMALL,
    "revision": SMALL,
    "opened": SMALL,
    "call_id": st.sampled_from(("", "one", "two")),
    "retry_delay_ms": st.integers(0, 10**7),
    "restart_delay_ms": st.integers(0, 10**7),
    "streak": st.integers(0, 10**4),
}
_TEXT = st.text(max_size=12)
_NUMBER = st.integers(0, 2**53)


def of_type(hint: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Any value of a field."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return struct(hint)
    if hint is bool:
        return st.booleans()
    if hint is int:
        return _NUMBER
    if hint is str:
        return _TEXT
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in (Union, types.UnionType):
        return st.one_of(*(st.none() if one is type(None) else of_type(one) for one in inner))
    if origin is tuple:
        if inner[-1] is Ellipsis:
            return st.lists(of_type(inner[0]), max_size=2).map(tuple)
        return st.tuples(*(of_type(one) for one in inner))
    raise AssertionError(f"no chance for a field of type {hint}: teach tests/support/chance.py")


def struct(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Any record of a kind; fields with a default are left out at will."""
    hints = get_type_hints(kind)
    fields = {one.name: of_type(hints[one.name], one.name) for one in msgspec.structs.fields(kind)}
    needed = {one.name for one in msgspec.structs.fields(kind) if one.required}
    return st.fixed_dictionaries(
        {name: fields[name] for name in fields if name in needed},
        optional={name: fields[name] for name in fields if name not in needed},
    ).map(lambda values: kind(**values))


def events() -> st.SearchStrategy[Event]:
    """Any event of any type, whether or not it makes sense."""
    return st.one_of(*(struct(kind) for kind in EVENT_TYPES))


# --- calls -------------------------------------------------------------------------------------------------------

_PORTS = st.builds(
    PortMapping,
    st.sampled_from((80, 443, 0)),
    st.sampled_from((0, 0, 8080, 8081, 70_000)),
    st.sampled_from(("tcp", "udp")),
    st.sampled_from(("", "127.0.0.1", "192.168.1.2", "no address")),
)
_SPECS = st.builds(
    ContainerSpec,
    image=st.just(ImagePin(PIN.ref, "", "")),
    args=st.sampled_from(((), ("one",), ("two",))),
    env=st.lists(st.builds(SealedEnv, st.sampled_from(("A", "B", "not good")), _TEXT), max_size=2).map(tuple),
    working_dir=st.sampled_from(("", "/srv", "srv")),
    network=st.sampled_from(("none", "host", "bridge")),
    ports=st.lists(_PORTS, max_size=2).map(tuple),
    host_bind_paths=st.sampled_from(((), ("/dev",), ("/dev/../etc",), ("dev",))),
    restart=st.builds(RestartPolicy, st.sampled_from(("always", "on-failure", "never"))),
)
_DECLARED = st.builds(
    Declared,
    name=st.sampled_from((*NAMES, "Bad Name", "")),
    kind=st.sampled_from(("container", "microvm")),
    spec=_SPECS,
    image_ref=st.sampled_from((PIN.ref, "docker.io/library/other:1")),
    resolved=st.sampled_from((PIN, OTHER_PIN, None)),
    labels=st.sampled_from(((), (("app", "site"),))),
    desired=st.sampled_from(("running", "stopped")),
    depends_on=st.sampled_from(((), ("web",), ("nobody",))),
)
_SOUND = st.builds(
    Apply,
    st.lists(
        st.builds(
            Declared,
            name=st.sampled_from(NAMES),
            kind=st.just("container"),
            spec=st.builds(
                ContainerSpec,
                image=st.just(ImagePin(PIN.ref, "", "")),
                args=st.sampled_from(((), ("one",), ("two",))),
                network=st.sampled_from(("none", "bridge")),
                mounts=st.sampled_from(((), (), (VolumeMount("data", "/data"),), (VolumeMount("logs", "/logs"),))),
                restart=st.builds(RestartPolicy, st.sampled_from(("always", "on-failure", "never"))),
            ),
            image_ref=st.just(PIN.ref),
            resolved=st.just(PIN),
            desired=st.sampled_from(("running", "running", "running", "stopped")),
            depends_on=st.sampled_from(((), (), ("db",), ("job",), ("db", "web"))),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda declared: declared.name,
    ).map(tuple),
    volumes=st.sampled_from(((), (DeclaredVolume("data", 16 << 20),))),
)
_EXPECTED = st.one_of(st.none(), SMALL)


def intents() -> st.SearchStrategy[Intent]:
    """Any call, whether or not it can be admitted."""
    names = st.sampled_from((*NAMES, "nobody"))
    applies = st.builds(Apply, st.lists(_DECLARED, max_size=3).map(tuple), _EXPECTED, st.booleans())
    switches = (Delete, Stop, Start, Restart)
    others = [kind for kind in get_args(Intent) if kind not in (Apply, Rollback, *switches)]
    rollbacks = st.builds(Rollback, applies, SMALL, st.lists(names, max_size=2).map(tuple))
    return st.one_of(
        applies,
        rollbacks,
        *(st.builds(kind, names, _EXPECTED) for kind in switches),
        *(struct(kind) for kind in others),
    )


_VOLUMES = st.sampled_from(("data", "logs"))
_LABELS = st.sampled_from(("one", "two"))
_MIB = st.sampled_from((16 << 20, 32 << 20))


def _storage() -> st.SearchStrategy[Intent]:
    """A call on a volume that can often be admitted."""
    return st.one_of(
        st.builds(CreateVolume, _VOLUMES, _MIB),
        st.builds(CreateVolume, _VOLUMES, _MIB),
        st.builds(ImportVolume, _VOLUMES, _MIB, st.sampled_from(("import-1", "import-2"))),
        st.builds(ResizeVolume, _VOLUMES, _MIB),
        st.builds(DeleteVolume, _VOLUMES, st.booleans()),
        st.builds(TakeSnapshot, _VOLUMES, _LABELS),
        st.builds(DeleteSnapshot, _VOLUMES, _LABELS),
        st.builds(RestoreVolume, _VOLUMES, _LABELS, st.sampled_from(("", "safe"))),
    )


# --- histories ---------------------------------------------------------------------------------------------------

Move = Callable[[Story], None]


def _call(intent: Intent) -> Move:
    return lambda story: void(story.call(intent))


def void(_: object) -> None:
    """A move answers nothing."""


def _act(number: int) -> Move:
    """The runner reaches one of the goals that are due."""

    def move(story: Story) -> None:
        goals = plan(story.machine)
        if goals:
            story.reach(goals[number % len(goals)])

    return move


def _fails(number: int, permanent: bool) -> Move:
    def move(story: Story) -> None:
        goals = plan(story.machine)
        if goals:
            goal = goals[number % len(goals)]
            story.begin(goal)
            lasting = permanent and isinstance(goal, StartRun)
            story.tell(
                EffectFailed(
                    kind_of(goal), goal.name, goal.uid, "NO_SPACE", "disk full", run=run_of(goal), attempt=goal.attempt,
                    retry_delay_ms=0 if lasting else 500, permanent=lasting,
                )
            )  # fmt: skip

    return move


def _ends(name: str, code: int) -> Move:
    def move(story: Story) -> None:
        workload = story.machine.workloads.get(name)
        if workload is not None and workload.run is not None:
            story.run_ends(name, code)

    return move


def _vanishes(name: str) -> Move:
    def move(story: Story) -> None:
        workload = story.machine.workloads.get(name)
        if workload is not None and workload.run is not None and workload.run.phase in LIVE:
            story.tell(WorkloadLost(name, workload.uid, workload.run.number, reason="vanished"))

    return move


def _loses(name: str) -> Move:
    """The storage does not show the volume any more."""

    def move(story: Story) -> None:
        volume = story.machine.volumes.get(name)
        if volume is not None and volume.made_bytes:
            story.tell(VolumeLost(name, volume.uid))

    return move


def _reboots(number: int) -> Move:
    """A new boot, or (0) only a new life of the daemon."""

    def move(story: Story) -> None:
        if number:
            story.reboot(f"boot-{len(story.entries)}")
        else:
            story.tell(DaemonStarted(mode="hosted", previous="crash"))

    return move


def _waits(seconds: int) -> Move:
    return lambda story: story.pass_time(seconds)


def _tells(event: Event) -> Move:
    return lambda story: story.tell(event)


def moves() -> st.SearchStrategy[Move]:
    """One thing that can happen to a machine: a call, a goal reached or not, an end, a reboot, time."""
    names = st.sampled_from(NAMES)
    numbers = st.integers(0, 5)
    calls = st.one_of(_SOUND, st.builds(Stop, names), st.builds(Restart, names), st.builds(Start, names))
    return st.one_of(
        intents().map(_call),
        st.builds(Delete, names).map(_call),
        *(_storage().map(_call) for _ in range(4)),
        _VOLUMES.map(_loses),
        *(calls.map(_call) for _ in range(6)),
        *(numbers.map(_act) for _ in range(14)),
        st.builds(_fails, numbers, st.booleans()),
        st.builds(_ends, names, st.sampled_from((0, 1, 137))),
        names.map(_vanishes),
        numbers.map(_reboots),
        st.sampled_from((1, 700)).map(_waits),
        st.just(_tells(ImagePushed((PushedImage(OTHER_PIN, 5),)))),
        st.sampled_from((PIN, OTHER_PIN)).map(lambda pin: _tells(ImageLost((pin.ref,), (pin.index_digest,)))),
    )


def histories(least: int = 20, most: int = 50) -> st.SearchStrategy[Story]:
    """A machine that has lived. Never too short: what is drawn from nothing is mostly nothing."""

    def lived(chosen: list[Move]) -> Story:
        story = Story()
        story.reboot("boot-0")
        for move in chosen:
            move(story)
        return story

    return st.lists(moves(), min_size=least, max_size=most).map(lived)
