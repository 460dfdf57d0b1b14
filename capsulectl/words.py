"""What the wire says in enums and long names, in the words operators use."""

from typing import Any

from capsule.v1 import workload_pb2 as pb


def phase(workload: Any) -> str:
    """The phase, and what is behind it where that says more: `Pending (backoff)`."""
    word = pb.WorkloadPhase.Name(workload.status.phase).removeprefix("WORKLOAD_PHASE_").capitalize()
    detail = workload.status.phase_detail
    return word if detail in ("", word.lower()) else f"{word} ({detail})"


def enum_word(field: Any, value: int) -> str:
    """An enum's value as manifests write it: HOST, not NETWORK_MODE_HOST."""
    values = field.enum_type.values_by_number
    return str(values[value].name.removeprefix(values[0].name.removesuffix("UNSPECIFIED")))


def desired_word(workload: Any) -> str:
    """running, stopped or deleting."""
    return str(pb.DesiredState.Name(workload.desired_state)).removeprefix("DESIRED_STATE_").lower()


def spec_of(workload: Any) -> Any:
    """What is declared to run: a container's section, or a microVM's."""
    return workload.micro_vm if workload.HasField("micro_vm") else workload.container


def network_word(workload: Any) -> str:
    """HOST, BRIDGE or NONE; a microVM is always on the bridge."""
    if workload.HasField("micro_vm"):
        return "BRIDGE"
    return str(pb.NetworkMode.Name(workload.container.network_mode)).removeprefix("NETWORK_MODE_")


def kind_word(workload: Any) -> str:
    """Container or MicroVM."""
    return "MicroVM" if workload.HasField("micro_vm") else "Container"


def image_word(workload: Any) -> str:
    """What it is made from: its image, or its own kernel."""
    spec = spec_of(workload)
    return short_image(spec.image) if spec.image or not workload.HasField("micro_vm") else str(spec.kernel_path)


def ports_word(workload: Any) -> str:
    """The host ports that lead inside: `8080->80/tcp, 192.0.2.1:53->5353/udp`."""
    texts = []
    for port in spec_of(workload).ports:
        where = f"{port.host_address}:{port.host_port}" if port.host_address else str(port.host_port)
        texts.append(f"{where}->{port.container_port}/{port.protocol or 'tcp'}")
    return ", ".join(texts)


def short_image(ref: str) -> str:
    """Without what everybody knows."""
    return ref.removeprefix("docker.io/library/").removeprefix("docker.io/")
