"""How far a pull is, in words, for who looks at a workload whose image is being fetched; and how far the making of what
its microVM boots is. No state: never journaled."""

from collections.abc import Callable

from capsule.v1 import workload_pb2 as pb
from effects.images.actions import Pulls
from projections.words import bytes_text


def tell_progress(message: pb.Workload, pulls: Pulls, making: Callable[[], str] = str) -> pb.Workload:
    """The message, with the progress of the workload's pull if there is one under way; `making` says how far the
    guest's own image is, and nothing while nobody makes it."""
    step = making() if message.HasField("micro_vm") else ""
    if step and message.status.phase_detail == "starting":
        message.status.message = f"what microVMs boot is being made, once for all: {step}"
    progress = pulls.get(message.name)
    if progress is not None and message.status.phase_detail == "pulling" and progress.total_bytes:
        done = f"{bytes_text(progress.done_bytes)} of {bytes_text(progress.total_bytes)}"
        layers = f"{progress.unpacked} of {progress.layers} layers unpacked"
        section = message.micro_vm if message.HasField("micro_vm") else message.container
        message.status.message = f"{section.image} is being fetched: {done}, {layers}"
    return message
