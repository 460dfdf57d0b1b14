"""How a container's runs are written in a manifest: long and short forms, sizes and durations with their units."""

from pathlib import Path

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl.errors import Failure
from capsulectl.manifests import load


def container(tmp_path: Path, fields: str) -> pb.ContainerSpec:
    file = tmp_path / "m.yaml"
    file.write_text(f"name: web\nkind: Container\ncontainer:\n  image: nginx\n  {fields}\n")
    (workload,), _ = load([str(file)])
    return workload.container


@pytest.mark.parametrize(
    ("text", "mode", "attempts"),
    [
        ("on-failure", pb.RESTART_MODE_ON_FAILURE, 0),
        ("NEVER", pb.RESTART_MODE_NEVER, 0),
        ("RESTART_MODE_ALWAYS", pb.RESTART_MODE_ALWAYS, 0),
        ("on-failure:3", pb.RESTART_MODE_ON_FAILURE, 3),
        ("always:10", pb.RESTART_MODE_ALWAYS, 10),
        ("{mode: on-failure, maxAttempts: 5}", pb.RESTART_MODE_ON_FAILURE, 5),
    ],
)
def test_a_restart_policy_has_a_short_and_a_full_form(tmp_path: Path, text: str, mode: int, attempts: int) -> None:
    found = container(tmp_path, f"restart: {text}")
    assert (found.restart, found.restart_policy.max_attempts) == (mode, attempts)


def test_quantities_have_their_unit_in_their_value_or_in_their_name(tmp_path: Path) -> None:
    found = container(tmp_path, "restart: {mode: always, backoffFirst: 500ms, backoffCap: 1h30m, stableMs: 60000}")
    policy = found.restart_policy
    assert (policy.backoff_first_ms, policy.backoff_cap_ms, policy.stable_ms) == (500, 5_400_000, 60_000)
    one = container(tmp_path, "resources: {cpus: 0.5, memory: 64MiB, swapBytes: 1048576, pids: 0}").resources
    other = container(tmp_path, "resources: {cpus: 2, memoryBytes: 64M}").resources
    assert (one.cpus, one.memory_bytes, one.swap_bytes, one.HasField("pids")) == (0.5, 64 << 20, 1 << 20, True)
    assert (other.cpus, other.memory_bytes, other.HasField("pids")) == (2.0, 64 << 20, False)
    assert container(tmp_path, "resources: {memory: 512Mi, swap: 2Gi}").resources.swap_bytes == 2 << 30


def test_numbers_may_stand_in_quotes(tmp_path: Path) -> None:
    """Where the field's name says the unit, also sizes and durations: so protobuf's own JSON writes large numbers."""
    limits = container(tmp_path, "resources: {cpus: '0.5', memoryBytes: '67108864', pids: '9'}").resources
    assert (limits.cpus, limits.memory_bytes, limits.pids) == (0.5, 64 << 20, 9)
    policy = container(tmp_path, "restartPolicy: {stableMs: '5', backoffCapMs: 2s}").restart_policy
    assert (policy.stable_ms, policy.backoff_cap_ms) == (5, 2_000)


def test_lists_of_things_have_a_line_or_a_mapping_each(tmp_path: Path) -> None:
    found = container(
        tmp_path,
        "tmpfs: [/tmp, '/cache:64MiB', {mountPath: /big, size: 1GiB}]\n"
        "  hostBinds: [/etc/ssl, '/srv:/data:ro', {source: /a, mountPath: /b}]\n"
        "  ulimits: [nofile=1024, 'nproc=10:-1', {name: core, soft: 0, hard: 0}]",
    )
    assert [(one.mount_path, one.size_bytes) for one in found.tmpfs] == [
        ("/tmp", 0),
        ("/cache", 64 << 20),
        ("/big", 1 << 30),
    ]
    assert [(one.source, one.mount_path, one.read_only) for one in found.host_binds] == [
        ("/etc/ssl", "", False),
        ("/srv", "/data", True),
        ("/a", "/b", False),
    ]
    assert [(one.name, one.soft, one.hard, one.HasField("hard")) for one in found.ulimits] == [
        ("nofile", 1024, 0, False),
        ("nproc", 10, -1, True),
        ("core", 0, 0, True),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("restart: on-failure:no", "container.restart: 'no' is no number of attempts"),
        ("restart: on-failure:0", "no number of attempts"),
        ("restart: sometimes", "'sometimes' is none of always, on-failure, never"),
        ("restart: unless-stopped", "container.restart: write always: what was stopped by hand stays stopped"),
        ("restart: {maxAttempts: 3}", "container.restart.mode: missing"),
        ("restart: {mode: always, attempts: 3}", "container.restart.attempts: unknown field: do you mean maxAttempts?"),
        ("resources: {memory: 64}", "'64' has no unit that can be trusted: say 64MiB or 64GiB"),
        ("resources: {memory: 1.5GiB}", "container.resources.memory: '1.5GiB' is no whole number: write 1536MiB"),
        ("resources: {memory: 2.0g}", "'2.0g' is no whole number: write 2GiB"),
        ("resources: {memory: 0.0001K}", "'0.0001K' is no whole number: write 1KiB"),
        ("resources: {memory: 64MiB, memoryBytes: 1}", "given twice, under two names"),
        ("resources: {cpus: half}", "must be a number, like 0.5 or 2"),
        ("resources: {cpus: 'nan'}", "must be a number, like 0.5 or 2"),
        ("resources: {cpus: '1e999'}", "must be a number, like 0.5 or 2"),
        ("resources: {cpus: '1_0'}", "must be a number, like 0.5 or 2"),
        ("resources: {cpus: true}", "must be a number, like 0.5 or 2"),
        ("resources: {memory: '64'}", "'64' has no unit that can be trusted: say 64MiB or 64GiB"),
        ("resources: {memoryBytes: '064'}", "must be a whole number"),
        ("restart: {mode: always, stable: '5'}", "'5' is no duration with its unit: say 5s or 5ms"),
        ("resources: {memory: 99999999999999T}", "must be below"),
        ("restart: {mode: always, backoffCap: 5}", "'5' is no duration with its unit: say 5s or 5ms"),
        ("tmpfs: ['/tmp:64']", "container.tmpfs[0]: '64' has no unit"),
        ("tmpfs: ['/tmp:99999999999999999999TiB']", "container.tmpfs[0]: '99999999999999999999TiB' is no size that"),
        ("ulimits: ['nofile=99999999999999999999']", "container.ulimits[0]: must be below 9223372036854775808"),
        ("hostBinds: ['/a:/b:ro:/c']", "is not like /source:/inside"),
        ("ulimits: [nofile]", "is not like nofile=1024"),
        ("ulimits: [{name: core, soft: -}]", "must be a whole number"),
        ("capAdd: NET_ADMIN", "container.capAdd: must be a list"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(Failure) as caught:
        container(tmp_path, text)
    assert words in str(caught.value) and "m.yaml:" in str(caught.value)


def test_the_bound_of_logs_has_a_unit(tmp_path: Path) -> None:
    assert container(tmp_path, "logs: {maxSize: 16MiB}").logs.max_size_bytes == 16 << 20
    with pytest.raises(Failure, match="unit"):
        container(tmp_path, "logs: {maxSize: 16}")
