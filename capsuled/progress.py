"""How far a pull is, in words, for who looks at a workload whose image is being fetched. No state: never journaled."""

from capsule.v1 import workload_pb2 as pb
from effects.images.actions import Pulls
from projections.words import bytes_text


def tell_progress(message: pb.Workload, pulls: Pulls) -> pb.Workload:
    """The message, with the progress of the workload's pull if there is one under way."""
    progress = pulls.get(message.name)
    if progress is not None and message.status.phase_detail == "pulling" and progress.total_bytes:
        done = f"{bytes_text(progress.done_bytes)} of {bytes_text(progress.total_bytes)}"
        layers = f"{progress.unpacked} of {progress.layers} layers unpacked"
        message.status.message = f"{message.container.image} is being fetched: {done}, {layers}"
    return message
