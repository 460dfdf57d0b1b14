"""The part of a workload's section that says how its health is known. Pure; 0 and absent become defaults here."""

from typing import Any, assert_never

from msgspec.structs import replace

from capsule.v1 import workload_pb2 as pb
from journal.specs import HealthCheck
from projections.refusals import Refusal, invalid

_USUAL = HealthCheck("exec")


def parse_health(message: pb.ContainerSpec | pb.MicroVMSpec) -> HealthCheck | Refusal | None:
    """The check, if there is one."""
    if not message.HasField("health"):
        return None
    said, path = message.health, "container.health"
    given = {"exec": bool(said.exec), "http": said.HasField("http"), "tcp": said.HasField("tcp")}
    ways = [way for way, there in given.items() if there]
    if len(ways) != 1:
        return invalid("BAD_HEALTH", "a check is one of exec, http and tcp", path)
    check = HealthCheck(
        probe="exec",
        interval_ms=said.interval_ms or _USUAL.interval_ms,
        timeout_ms=said.timeout_ms or _USUAL.timeout_ms,
        retries=said.retries or _USUAL.retries,
        start_period_ms=said.start_period_ms if said.HasField("start_period_ms") else _USUAL.start_period_ms,
    )
    match ways[0]:
        case "http":
            return replace(check, probe="http", port=said.http.port, path=said.http.path or "/")
        case "tcp":
            return replace(check, probe="tcp", port=said.tcp.port)
        case _:
            return replace(check, command=tuple(said.exec))


def health_message(check: HealthCheck) -> pb.HealthCheck:
    """The same, as clients see it: with every time it has."""
    message = pb.HealthCheck(
        interval_ms=check.interval_ms,
        timeout_ms=check.timeout_ms,
        retries=check.retries,
        start_period_ms=check.start_period_ms,
    )
    match check.probe:
        case "exec":
            message.exec.extend(check.command)
        case "http":
            message.http.CopyFrom(pb.HealthHttp(port=check.port, path=check.path))
        case "tcp":
            message.tcp.CopyFrom(pb.HealthTcp(port=check.port))
        case _:
            assert_never(check.probe)
    return message


def health_plain(check: HealthCheck | None) -> dict[str, Any]:
    """The same in the manifest's words, for a diff."""
    match check:
        case None:
            return {}
        case HealthCheck(probe="exec"):
            said: dict[str, Any] = {"exec": list(check.command)}
        case HealthCheck(probe="http"):
            said = {"http": {"port": check.port, "path": check.path}}
        case _:
            said = {"tcp": {"port": check.port}}
    times = {"intervalMs": check.interval_ms, "timeoutMs": check.timeout_ms, "startPeriodMs": check.start_period_ms}
    return {**said, **times, "retries": check.retries}
