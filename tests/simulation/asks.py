"""What operators of a simulated machine may ask of it, and what programs, images and checks there are to ask for."""

from typing import NamedTuple

from capsule.v1 import workload_pb2 as pb
from effects.images.twin_image import TwinImage, TwinLayer
from journal.specs import Fault
from tests.simulation.rows import STABLE_S
from tests.simulation.secrets import KEY, VARIABLE

NAMES = ("web", "db", "job", "cache")
QUIET = "quiet"
"""A workload that nobody changes: what an exec leaves in it is ended by nothing but the daemon."""

GENTLE = "gentle"
"""What has this word ends with 0 when it is asked to."""
PROGRAMS = (
    ("serve", "1"),
    ("serve", "2"),
    ("serve", "3", GENTLE),
    ("end-ok",),
    ("end-bad",),
    ("end-late",),
    ("ignore-term",),
    ("hog",),
    ("fatal",),
    ("sick",),
    ("sick", GENTLE),
    ("foreign",),
    ("missing",),
)
FAULTS: tuple[Fault, ...] = ("panic", "starved", "crashed", "silent", "agent")
"""How the machine around a microVM may end by itself; `fatal` is the program that brings it there."""
WORKLOAD_VERBS = ("apply", "apply", "apply", "apply", "stop", "start", "restart", "delete", "rollback")
NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "web": ((),),
    "db": ((),),
    "job": ((), ("db",)),
    "cache": ((), ("db",), ("job",), ("db", "job")),
}
"""What each may be declared to depend on."""
ROW = ("db", "job", "cache")
"""Each may depend on all before it."""
POLICIES = {
    "always": (pb.RESTART_MODE_ALWAYS, 0),
    "always:1": (pb.RESTART_MODE_ALWAYS, 1),
    "on-failure": (pb.RESTART_MODE_ON_FAILURE, 0),
    "on-failure:2": (pb.RESTART_MODE_ON_FAILURE, 2),
    "never": (pb.RESTART_MODE_NEVER, 0),
}
DRIFTS: dict[int, str] = {pb.DRIFT_POLICY_REPAIR: "repair", pb.DRIFT_POLICY_REPORT: "report"}
MEMORY_BYTES = 64 << 20


def _image(number: int, *names: str) -> TwinImage:
    layers = (TwinLayer(f"sha256:{number + 200:064}", 100), TwinLayer("sha256:" + "f" * 64, 50))
    return TwinImage(names, f"sha256:{number:064}", f"sha256:{number + 100:064}", layers)


IMAGES = tuple(_image(number, f"docker.io/library/{name}:1") for number, name in enumerate(("app", "tool", "spare"), 1))
"""Side-loaded, with a layer in common."""
REMOTE = "registry.test/remote:1"
MEANINGS = (_image(11, REMOTE), _image(12, REMOTE))
"""What the registry's one name means, by turns."""


CHECKS = (
    None,
    pb.HealthCheck(exec=["true"], interval_ms=20_000, start_period_ms=0),
    pb.HealthCheck(exec=["true"], interval_ms=60_000, retries=2, start_period_ms=5_000),
)
"""How the health of a program may be looked at."""


class Ask(NamedTuple):
    """What an operator asks. `port`: on the bridge, with this host port; 0: without a network. `disk`: with the volume
    that is called like the workload. `pull`: resolve the image's name anew. `needs`: what it depends on;
    `check`: which of CHECKS; `secret`: with the one secret, as a file and, with `variable`, as one. `back`: a rollback goes back to
    the state after so many of its own acknowledged applies ago; `vm`: as a microVM, which is always on the bridge."""

    verb: str
    program: tuple[str, ...]
    policy: str = "always"
    image: str = IMAGES[0].names[0]
    pull: bool = False
    port: int = 0
    disk: bool = False
    needs: tuple[str, ...] = ()
    check: int = 0
    drift: int = pb.DRIFT_POLICY_REPAIR
    secret: bool = False
    variable: bool = True
    back: int = 1
    vm: bool = False


def check_of(ask: Ask) -> pb.HealthCheck | None:
    """What is sick is known to be only by its check."""
    return CHECKS[max(1, ask.check) if "sick" in ask.program else ask.check]


def message_of(name: str, ask: Ask) -> pb.Workload:
    """The declaration: of a microVM what of a container, in its own section."""
    mode, attempts = POLICIES[ask.policy]
    message = pb.Workload(name=name, depends_on=ask.needs, drift=ask.drift)  # type: ignore[arg-type]
    section = message.micro_vm if ask.vm else message.container
    section.MergeFrom(
        type(section)(
            image=ask.image,
            command=["/missing"] if ask.program == ("missing",) else [],
            args=ask.program,
            restart=mode,
            restart_policy=pb.RestartPolicy(max_attempts=attempts, stable_ms=STABLE_S * 1_000),
            resources=pb.Resources(memory_bytes=MEMORY_BYTES),
            stop_grace_seconds=2,  # type: ignore[arg-type]
            ports=[pb.PortMapping(container_port=80, host_port=ask.port)] if ask.port else [],
            mounts=[pb.VolumeMount(volume_name=name, mount_path="/data")] if ask.disk else [],
            health=check_of(ask),
            env={"MODE": f"value-{ask.policy}"},
            secret_env={VARIABLE: KEY} if ask.secret and ask.variable else {},
            secrets=[pb.SecretFile(secret=KEY)] if ask.secret else [],
        )
    )
    if not ask.vm:
        message.container.network_mode = pb.NETWORK_MODE_BRIDGE if ask.port else pb.NETWORK_MODE_NONE
    return message
