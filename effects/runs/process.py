"""The process of a run: its command line, environment and user, from the declaration and the image's config. Pure."""

import msgspec

from effects.errors import EntrypointMissing
from effects.runs.protocol import RunSpec
from projections.linux import SIGNALS, signal_number

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ImageConfig(msgspec.Struct, frozen=True):
    """What an image says about the process to run in it. `stop_signal` is text, as the image has it."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""


class Identity(msgspec.Struct, frozen=True):
    """A user inside the container, as numbers."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


def arguments(run: RunSpec, image: ImageConfig) -> tuple[str, ...]:
    """The command line: a given command replaces entrypoint and command, given args replace only the command."""
    if run.command:
        return (*run.command, *run.args)
    argv = (*image.entrypoint, *(run.args or image.command))
    if not argv:
        raise EntrypointMissing(
            f"nothing to run: image and manifest of {run.name} name no command. Say `command:` in the manifest"
        )
    return argv


def environment(run: RunSpec, image: ImageConfig, called: str) -> list[str]:
    """NAME=value lines: the image's, then the declared ones over them. `called` is its host's name."""
    merged = dict(line.partition("=")[::2] for line in (DEFAULT_PATH, f"HOSTNAME={called}", *image.env))
    merged.update(run.env)
    return [f"{name}={value}" for name, value in merged.items()]


def stop_signal(run: RunSpec, image: ImageConfig) -> int:
    """What asks the process to end: the declared signal, else the image's, else TERM. An image's that is none counts
    as not said: it is no reason not to run it.
    """
    return signal_number(run.stop_signal) or signal_number(image.stop_signal) or SIGNALS["TERM"]


def hostname(run: RunSpec) -> str:
    """What the run calls itself: as declared, else its workload's name."""
    return run.hostname or run.name
