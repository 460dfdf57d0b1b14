"""Manifests: those in the field parse unchanged, short and full forms mean the same, and what is wrong has its place."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import MessageToDict

from capsule.v1 import volume_pb2
from capsule.v1 import workload_pb2 as pb
from capsulectl.errors import USAGE, Failure
from capsulectl.manifests import KINDS, VolumeManifest, load
from capsulectl.render import plain
from capsulectl.volume import as_data as volume_as_data
from capsuled.wire import parse_workload
from projections.refusals import Refusal
from tests.support.given import given, standing

FIELD = Path(__file__).parent / "field"

EXPECTED: dict[str, dict[str, Any]] = {
    "host": {
        "name": "nginx",
        "kind": "WORKLOAD_KIND_CONTAINER",
        "container": {"image": "docker.io/library/nginx:1.27", "networkMode": "NETWORK_MODE_HOST"},
    },
    "bridged": {
        "name": "web",
        "kind": "WORKLOAD_KIND_CONTAINER",
        "container": {
            "image": "nginx",
            "networkMode": "NETWORK_MODE_BRIDGE",
            "ports": [
                {"containerPort": 80, "hostPort": 8080, "protocol": "tcp"},
                {"containerPort": 443, "hostPort": 8443},
            ],
        },
    },
    "mounted": {
        "name": "db",
        "kind": "WORKLOAD_KIND_CONTAINER",
        "container": {
            "image": "docker.io/library/postgres:16",
            "command": ["postgres"],
            "args": ["-c", "shared_buffers=128MB"],
            "env": {"POSTGRES_PASSWORD": "secret", "POSTGRES_DB": "app"},
            "mounts": [
                {"volumeName": "pgdata", "mountPath": "/var/lib/postgresql/data"},
                {"volumeName": "seed", "mountPath": "/seed", "readOnly": True},
            ],
            "networkMode": "NETWORK_MODE_BRIDGE",
        },
    },
    "privileged": {
        "name": "capsule-debug",
        "kind": "WORKLOAD_KIND_CONTAINER",
        "container": {
            "image": "docker.io/library/alpine:3.20",
            "command": ["/bin/sh", "-c", "sleep infinity"],
            "networkMode": "NETWORK_MODE_HOST",
            "privileged": True,
            "hostPid": True,
            "hostBindPaths": ["/perm", "/sys", "/dev", "/run/capsule", "/sbin", "/usr/sbin", "/usr/bin"],
        },
    },
    "env-list": {
        "name": "listed",
        "kind": "WORKLOAD_KIND_CONTAINER",
        "container": {
            "image": "busybox",
            "env": {"GREETING": "hello", "EMPTY": ""},
            "networkMode": "NETWORK_MODE_BRIDGE",
        },
    },
    "microvm": {
        "name": "vm",
        "kind": "WORKLOAD_KIND_MICRO_VM",
        "microVm": {
            "image": "docker.io/library/redis:7",
            "vcpus": 2,
            "memoryMib": 512,
            "command": ["redis-server"],
            "args": ["--save", ""],
            "env": {"MODE": "standalone"},
            "ports": [{"containerPort": 6379, "hostPort": 6379, "protocol": "tcp"}],
            "mounts": [{"volumeName": "redis", "mountPath": "/data"}],
        },
    },
    "kernel": {
        "name": "own-kernel",
        "kind": "WORKLOAD_KIND_MICRO_VM",
        "microVm": {
            "kernelPath": "/perm/vm/vmlinux",
            "rootfsPath": "/perm/vm/rootfs.ext4",
            "vcpus": 1,
            "memoryMib": 256,
            "kernelCmdlineExtra": "quiet",
            "backend": "MICRO_VM_BACKEND_FIRECRACKER",
        },
    },
}


def test_every_manifest_in_the_field_has_its_meaning_written_down() -> None:
    assert {path.stem for path in FIELD.glob("*.yaml")} == {*EXPECTED, "volume"}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_manifest_in_the_field_parses_unchanged(name: str) -> None:
    (workload,), volumes = load([str(FIELD / f"{name}.yaml")])
    assert MessageToDict(workload) == EXPECTED[name] and volumes == []


@pytest.mark.parametrize("name", [name for name in EXPECTED if "container" in EXPECTED[name]])
def test_a_manifest_in_the_field_is_understood_by_the_daemon(name: str) -> None:
    (workload,), _ = load([str(FIELD / f"{name}.yaml")])
    assert not isinstance(parse_workload(workload), Refusal)


def test_a_volume_in_the_field_parses_unchanged() -> None:
    assert load([str(FIELD / "volume.yaml")]) == ([], [VolumeManifest("pgdata", 2 << 30)])


def parse(tmp_path: Path, text: str) -> pb.Workload:
    (tmp_path / "m.yaml").write_text(text)
    (workload,), _ = load([str(tmp_path / "m.yaml")])
    return workload


def container(tmp_path: Path, fields: str) -> Any:
    return parse(tmp_path, f"name: a\nkind: Container\ncontainer: {{image: x, {fields}}}\n").container


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("networkMode: HOST", "network_mode: NETWORK_MODE_HOST"),
        ("networkMode: host", "networkMode: 1"),
        ("networkMode: NONE", "networkMode: NETWORK_MODE_NONE"),
        ("networkMode: BRIDGE", "user: ''"),
        ("restart: on-failure", "restart: RESTART_MODE_ON_FAILURE"),
        ("restart: ON_FAILURE", "restart: 2"),
        ("env: {A: one, B: two}", "env: [{name: B, value: two}, {name: A, value: one}]"),
        ("hostBindPaths: [/dev]", "host_bind_paths: ['/dev']"),
        ("args: null", "args: []"),
        ("workingDir: /srv", "working_dir: /srv"),
        ("env: {PORT: 8080}", "env: {PORT: '8080'}"),
        ("env: [{name: A, value: one}, {name: B, secret: s}]", "env: {A: one}, secretEnv: {B: s}"),
        ("env: [{name: B, secret: s}]", "secret_env: {B: s}"),
        ("ports: [{containerPort: '80', hostPort: \"8080\"}]", "ports: [{containerPort: 80, hostPort: 8080}]"),
        (
            "restart: on-failure:9, restartPolicy: {maxAttempts: 9, stable: 1m}",
            "restartPolicy: {maxAttempts: 9, stable: 1m}, restart: on-failure",
        ),
        ("env: {<<: {A: one, B: two}, B: three}", "env: {A: one, B: three}"),
        ("env: {B: three, <<: [{A: one}, {A: two, B: two}]}", "env: {A: one, B: three}"),
    ],
)
def test_two_forms_mean_the_same(tmp_path: Path, one: str, other: str) -> None:
    assert container(tmp_path, one) == container(tmp_path, other)


def test_what_merges_itself_is_told_and_not_followed_for_ever(tmp_path: Path) -> None:
    with pytest.raises(
        Failure, match=r"m\.yaml:3: container\.env: merges what merges again, and so on: 4 times at most"
    ):
        container(tmp_path, "env: &e {<<: *e}")


def test_a_manifest_that_says_no_network_is_bridged_and_one_that_says_none_has_none(tmp_path: Path) -> None:
    assert container(tmp_path, "user: root").network_mode == pb.NETWORK_MODE_BRIDGE
    assert container(tmp_path, "networkMode: NONE").network_mode == pb.NETWORK_MODE_NONE


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  imagePull: y\n", "m.yaml:5: container.imagePull: unknown field"),
        ("name: a\nkind: Container\nreplicas: 2\ncontainer: {image: x}\n", "m.yaml:3: replicas: unknown field"),
        ("name: a\nkind: Container\ncontainer: [x]\n", "m.yaml:3: container: must be a mapping"),
        ("name: a\nkind: Container\ncontainer:\n  image: [x]\n", "m.yaml:4: container.image: must be a single value"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  ports:\n  - {hostPort: -1}\n", "m.yaml:6: container.ports[0].hostPort: must be a whole number"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  ports:\n  - {hostPort: 4294967296}\n", "m.yaml:6: container.ports[0].hostPort: must be below"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  ports:\n  - {hostPort: 0o17}\n", "container.ports[0].hostPort: must be a whole number"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  env:\n  - {name: A}\n", "m.yaml:6: container.env[0]: must have name and value"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  env:\n  - {name: A, value: '1'}\n  - {name: A, value: '2'}\n", "m.yaml:7: container.env[1]: A is given twice"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  env:\n  - {name: A, value: x, secret: y}\n", "m.yaml:6: container.env[0]: must have name and value or secret"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  secretEnv: {A: x}\n  env:\n  - {name: A, secret: y}\n", "m.yaml:7: container.env: A is given in secretEnv, too"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  restart: on-failure:9\n  restartPolicy:\n    maxAttempts: 2\n", "m.yaml:7: container.restartPolicy: maxAttempts is given twice: 9 in restart, and 2 in restartPolicy"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  restartPolicy: {maxAttempts: 2}\n  restart: on-failure:9\n", "m.yaml:6: container.restart: maxAttempts is given twice: 2 in restartPolicy, and 9 in restart"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  restartPolicy: {maxAttempts: 0}\n  restart: on-failure:9\n", "m.yaml:6: container.restart: maxAttempts is given twice: 0 in restartPolicy, and 9 in restart"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  restart: {mode: always, stable: 1m}\n  restartPolicy: {stableMs: 1}\n", "m.yaml:6: container.restartPolicy: stableMs is given twice: 60000 in restart, and 1 in restartPolicy"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  env:\n  - {name: A, secret: y}\n  secretEnv: {A: x}\n", "m.yaml:7: container.secretEnv: A is given in env, too"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  secretEnv:\n  - {name: A, secret: y}\n", "m.yaml:6: container.secretEnv[0]: must have name and value, and nothing else"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  env: text\n", "m.yaml:5: container.env: must be a mapping"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  env: {A: null}\n", "m.yaml:5: container.env.A: must be text"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  privileged: maybe\n", "m.yaml:5: container.privileged: must be true or false"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  args: [[x]]\n", "m.yaml:5: container.args[0]: must be a single value"),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  hostPid: true\n  host_pid: true\n", "m.yaml:6: container.host_pid: given twice, under two names"),
        ("name: a\nkind: Container\ncontainer: {image: x, networkMode: 77}\n", "m.yaml:3: container.networkMode: '77' is none of"),
        ("name: a\nkind: MicroVM\nmicroVm: {image: x}\ncontainer: {image: x}\n", "container: does not go with `kind: MicroVM`"),
        ("name: a\nkind: MicroVM\nmicroVm: {image: x, networkMode: HOST}\n", "microVm.networkMode: unknown field of a microVM: it is always on the bridge"),
        ("name: a\nkind: MicroVM\nmicroVm: {image: x, privileged: true}\n", "microVm.privileged: unknown field of a microVM: only a container has it"),
        ("name: a\nkind: MicroVM\nvcpus: 2\n", "m.yaml:3: vcpus: unknown field: write vcpus below microVm"),
        ("name: a\nkind: Container\nimage: x\n", "m.yaml:3: image: unknown field: write image below container or microVm"),
        ("name: a\nkind: Container\nmemory: 1G\n", "memory: unknown field: write resources.memory below container or microVm"),
        ("name: a\nkind: Container\nreplicas: 2\n", "replicas: unknown field: `capsulectl explain Container` lists them"),
        ("name: a\nkind: Container\ncontainer: {image: x, dependsOn: [b]}\n", "container.dependsOn: unknown field: write it beside kind, not below container"),
        ("name: a\nkind: Container\ncontainer: {image: x, volumes: [b]}\n", "container.volumes: unknown field: write mounts"),
        ("name: a\nkind: Container\ncontainer: {image: x, environment: {A: b}}\n", "container.environment: unknown field: write env"),
        ("name: a\nkind: Container\ncontainer: {image: x, resources: {disk: 1G}}\n", "container.resources.disk: unknown field: there are cpus, cpuShares, memory, swap, pids"),
        ("name: a\nkind: MicroVM\nmicroVm: {image: x, foo: 1}\n", "microVm.foo: unknown field: `capsulectl explain MicroVM` lists them"),
        ("name: a\nkind: container\n", "m.yaml:2: kind: 'container' is no kind: do you mean Container?"),
        ("name: a\nkind: microvm\n", "m.yaml:2: kind: 'microvm' is no kind: do you mean MicroVM?"),
        ("name: a\nkind: Pod\n", "m.yaml:2: kind: 'Pod' is no kind: Container, MicroVM or Volume"),
        (
            "apiVersion: v1\nkind: Pod\n",
            "m.yaml:2: kind: 'Pod' is no kind: this is a manifest of Kubernetes: here it is `kind: Container` with name "
            "and container; `capsulectl explain Container`",
        ),
        ("apiVersion: v1\n", "m.yaml:1: kind: missing: this is a manifest of Kubernetes: here it is `kind: Container`"),
        ("apiVersion: v1\nkind: PersistentVolumeClaim\n", "here it is `kind: Volume` with name and size"),
        ("apiVersion: v1\nkind: Secret\n", "here it is made by `capsulectl secret create NAME`"),
        (
            "services:\n  web: {image: x}\n",
            "m.yaml:1: kind: missing: this is a file of Compose: here each service is `kind: Container` with name and "
            "container; `capsulectl explain Container`",
        ),
        ('{"$schema": "x"}', "m.yaml:1: kind: missing: this is a JSON Schema and no manifest"),
        (
            "name: a\nkind: Container\ncontainer:\n  args: [x]\n",
            "m.yaml:3: container.image: missing: say what to run, like busybox:1.36",
        ),
        ("name: a\nkind: Container\ncontainer:\n  args: [x]\n  image:\n", "m.yaml:5: container.image: missing"),
        ("name: a\nkind: Container\ncontainer: {image: ''}\n", "m.yaml:3: container.image: missing"),
        ("name: a\nkind: MicroVM\nmicro_vm: {vcpus: 1}\n", "m.yaml:3: microVm.image: missing"),
        ("- name: a\n", "m.yaml:1: must be a mapping"),
        (
            "name: a\nkind: Container\ncontainer:\n  image: x\n  ports: ['8080:80']\n",
            "m.yaml:5: container.ports[0]: must be a mapping: write {containerPort: 80, hostPort: 8080}",
        ),
        (
            "name: a\nkind: Container\ncontainer:\n  image: x\n  ports: ['127.0.0.1:53:53/udp']\n",
            "write {containerPort: 53, hostPort: 53, protocol: udp, hostAddress: 127.0.0.1}",
        ),
        ("name: a\nkind: Container\ncontainer:\n  image: x\n  ports: [80]\n", "write {containerPort: 80}"),
        (
            "name: a\nkind: Container\ncontainer:\n  image: x\n  mounts: ['data:/data:ro']\n",
            "container.mounts[0]: must be a mapping: write {volumeName: data, mountPath: /data, readOnly: true}",
        ),
        (
            "name: a\nkind: Container\ncontainer:\n  image: x\n  mounts: [/srv:/data]\n",
            "container.mounts[0]: must be a mapping: write under hostBinds, as /srv:/data",
        ),
        (
            "name: a\nkind: Container\ncontainer:\n  image: x\n  env: [A=1]\n",
            'container.env[0]: must be a mapping, not a list of NAME=value: write A: "1"',
        ),
        ("name: a\n", "m.yaml:1: kind: missing"),
        ("kind: Volume\nsize: 1G\n", "name: missing"),
        ("name: v\nkind: Volume\n", "size: missing"),
        ("name: v\nkind: Volume\nsize: \"64\"\n", "m.yaml:3: size: '64' has no unit"),
        ("name: v\nkind: Volume\nsize: big\n", "m.yaml:3: size:"),
        ("name: a\nkind: Container\ncontainer: {image: x}\n---\nname: a\nkind: Container\ncontainer: {image: y}\n", "m.yaml:5: name: a is declared already at"),
        ("name: a\nkind: Container\ncontainer: {image: x}\n---\nname: b\nkind: Pod\n", "m.yaml:6: kind: 'Pod' is no kind"),
        ("name: *nobody\n", "m.yaml:1: no valid YAML"),
        ("name: a\ncontainer:\n\timage: b\n", "indent with spaces"),
        ("# nothing but a comment\n---\n---\n", "nothing to apply"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_line_and_path(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(Failure) as caught:
        parse(tmp_path, text)
    assert complaint in caught.value.message and caught.value.code == USAGE
    assert caught.value.message.startswith((str(tmp_path / "m.yaml"), "nothing to apply"))


def test_documents_files_and_directories_come_together_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text(
        "name: b\nkind: Container\ncontainer: {image: x}\n---\nname: v\nkind: Volume\nsize: 1G\n"
    )
    (tmp_path / "a.yaml").write_text("---\nname: a\nkind: Container\ncontainer: {image: x}\n...\n")
    (tmp_path / "notes.txt").write_text("no manifest")
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "c.json").write_text(
        json.dumps({"name": "c", "kind": "Container", "container": {"image": "x"}})
    )
    workloads, volumes = load([str(tmp_path), str(tmp_path / "extra" / "c.json")])
    assert [one.name for one in workloads] == ["a", "b", "c"] and [one.name for one in volumes] == ["v"]


def test_json_of_a_directory_is_read_and_where_it_is_meant_its_subdirectories(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.json", "one/b.yaml", "one/two/c.yml", ".git/d.yaml", "one/e.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        manifest = {"name": Path(name).stem, "kind": "Container", "container": {"image": "x"}}
        (tmp_path / name).write_text(json.dumps(manifest, indent="\t" if name == "a.json" else 1))
    (tmp_path / "one" / "round").symlink_to(tmp_path)
    assert [one.name for one in load([str(tmp_path)])[0]] == ["a"]
    assert capsys.readouterr().err == f"warning: not read: {tmp_path}/one: -R reads subdirectories, too\n"
    assert [one.name for one in load([str(tmp_path)], recursive=True)[0]] == ["a", "b", "c"]
    said = capsys.readouterr().err
    assert said == f"warning: not read: {tmp_path}/one/round: a link to a directory is not followed\n"


def test_of_many_subdirectories_that_are_not_read_some_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text("name: a\nkind: Container\ncontainer: {image: x}\n")
    for name in "bcdef":
        (tmp_path / name).mkdir()
    load([str(tmp_path)])
    assert f"{tmp_path}/b, {tmp_path}/c, {tmp_path}/d and 2 more: -R" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("command: sleep 1000", '[sleep, "1000"]'),
        ("command: sh -c 'sleep 1; echo hi'", '[sh, -c, "sleep 1; echo hi"]'),
        ('args: "it\'s"', '["it\'s"]'),
        ("args: true", '["true"]'),
        (
            "args: '-- --- ... - -x =a @b %c 2026-99-99 a:1 a:'",
            '[--, "---", "...", "-", -x, "=a", "@b", "%c", "2026-99-99", a:1, "a:"]',
        ),
        ("health: {exec: pg_isready -U x}", "[pg_isready, -U, x]"),
        ("ports: 80", "[{containerPort: 80}]"),
        ("ports: '8080:80'", "[{containerPort: 80, hostPort: 8080}]"),
        ("ports: {containerPort: 80, protocol: 'tcp'}", '[{containerPort: 80, protocol: "tcp"}]'),
        ("mounts: 'data:/data'", "[{volumeName: data, mountPath: /data}]"),
        ("mounts: '/srv:/data'", "under hostBinds, as /srv:/data"),
        ("tmpfs: '/tmp:64MiB'", "[/tmp:64MiB]"),
        ("capAdd: NET_ADMIN", "[NET_ADMIN]"),
        ("capAdd: {NET_ADMIN: true}", "each item behind a `- `, or all of them between [ and ]"),
        (f"args: {'x ' * 100}", "each item behind a `- `, or all of them between [ and ]"),
    ],
)
def test_what_must_be_a_list_is_shown_as_one(tmp_path: Path, field: str, meant: str) -> None:
    with pytest.raises(Failure) as caught:
        container(tmp_path, field)
    assert caught.value.message.endswith(f": must be a list: write {meant}")
    name, _, shape = field.partition(":")
    if meant.startswith("[") and not shape.strip().startswith("{exec"):
        container(tmp_path, f"{name}: {meant}")


@pytest.mark.parametrize("depends_on", ["db", "{db: {condition: service_healthy}}"])
def test_whom_it_depends_on_is_a_list(tmp_path: Path, depends_on: str) -> None:
    with pytest.raises(Failure, match=r"m\.yaml:3: dependsOn: must be a list: write \[db\]$"):
        parse(tmp_path, f"name: a\nkind: Container\ndependsOn: {depends_on}\ncontainer: {{image: x}}\n")


def test_what_is_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: a\nkind: Container\ncontainer: {image: x}\n")
    (tmp_path / "link").symlink_to("a.yaml")
    workloads, _ = load(
        [str(tmp_path), str(tmp_path / "a.yaml"), str(tmp_path / "." / "a.yaml"), str(tmp_path / "link")]
    )
    assert [one.name for one in workloads] == ["a"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "an empty word is no file: is a variable unset?"),
        ("https://example.org/web.yaml", "No such file or directory. Only files are read: fetch it first"),
        (
            "{empty}",
            "nothing to apply in {empty}: of a directory its .yaml, .yml and .json are read, with -R those of its "
            "subdirectories, too",
        ),
    ],
)
def test_what_is_no_source_is_told_with_what_would_be_one(tmp_path: Path, source: str, says: str) -> None:
    (tmp_path / "web.txt").write_text("{}")
    with pytest.raises(Failure) as caught:
        load([source.format(empty=tmp_path)])
    assert caught.value.message.endswith(says.format(empty=tmp_path)) and caught.value.code == USAGE


def test_a_name_is_a_workloads_and_a_volumes_without_quarrel_but_once_each(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(
        "name: a\nkind: Volume\nsize: 1G\n---\nname: a\nkind: Container\ncontainer: {image: x}\n"
    )
    load([str(tmp_path / "one.yaml")])
    (tmp_path / "two.yaml").write_text("name: a\nkind: MicroVM\nmicroVm: {image: x}\n")
    with pytest.raises(Failure, match=r"two\.yaml:1: name: a is declared already at .*one\.yaml:5"):
        load([str(tmp_path)])


def test_standard_input_is_a_source_like_any_other() -> None:
    nope = pytest.raises(Failure, match=r"^standard input:3: container\.nope: unknown field")
    with given(b"name: a\nkind: Container\ncontainer: {image: x, nope: 1}\n"), nope:
        load(["-"])


def test_what_has_no_end_is_not_read_to_it() -> None:
    with pytest.raises(Failure, match="/dev/zero has more than 8 MiB") as caught:
        load(["/dev/zero"])
    assert caught.value.code == USAGE
    endless = pytest.raises(Failure, match="standard input has more than 8 MiB")
    with open("/dev/zero", "rb") as zeros, standing(zeros.fileno()), endless:
        load(["-"])


def test_standard_input_that_is_no_text_is_not_repeated() -> None:
    no_text = pytest.raises(Failure, match=r"^standard input cannot be read: it is no text in UTF-8$")
    with given(b"name: \xff"), no_text:
        load(["-"])


@pytest.mark.parametrize("content", [b"\xff\xfe", b"name: \x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.yaml").write_bytes(content)
    with pytest.raises(Failure, match=r"m\.yaml") as caught:
        load([str(tmp_path / "m.yaml")])
    assert caught.value.code == USAGE
    with pytest.raises(Failure, match="No such file"):
        load([str(tmp_path / "absent.yaml")])


def test_what_get_prints_beside_the_declaration_is_read_over(tmp_path: Path) -> None:
    text = (
        "name: a\nkind: WORKLOAD_KIND_CONTAINER\ncontainer: {image: x}\nuid: '7'\nrevision: '9'\ndesiredSeq: '9'\n"
        "imageDigest: sha256:00\nstatus: {phase: WORKLOAD_PHASE_RUNNING, anything: [goes]}\ndesiredState: DESIRED_STATE_STOPPED\n"
    )
    workload = parse(tmp_path, text)
    assert workload.desired_state == pb.DESIRED_STATE_STOPPED
    assert (workload.uid, workload.revision, workload.image_digest, workload.HasField("status")) == (0, 0, "", False)


def test_kinds_have_a_short_and_a_full_name() -> None:
    assert set(KINDS.values()) == {pb.WORKLOAD_KIND_CONTAINER, pb.WORKLOAD_KIND_MICRO_VM}


def printed(data: Any) -> tuple[list[pb.Workload], list[VolumeManifest]]:
    """What applying takes of what was printed."""
    with given(yaml.safe_dump(data).encode()):
        return load(["-"])


def test_what_is_printed_of_workloads_can_be_applied(capsys: pytest.CaptureFixture[str]) -> None:
    status = pb.WorkloadStatus(conditions=[pb.WorkloadCondition(type="Running")])
    web, clock = (
        pb.Workload(name=name, kind=pb.WORKLOAD_KIND_CONTAINER, status=status, uid=7, container={"image": "x"})
        for name in ("web", "clock")
    )
    for data in (
        {"workloads": [plain(web), plain(clock)], "desiredSeq": 12},
        {"workloads": [plain(web), plain(clock)]},
        [plain(web), plain(clock)],
    ):
        workloads, _ = printed(data)
        assert [one.name for one in workloads] == ["web", "clock"]
    assert capsys.readouterr().err == ""


def test_what_is_printed_of_volumes_can_be_applied(capsys: pytest.CaptureFixture[str]) -> None:
    data = volume_as_data(
        volume_pb2.Volume(name="data", size_bytes=1 << 30, uid=3, phase="ready", mounted_by=["web"], drift="report")
    )
    for told in (data, [data], {"volumes": [data]}):
        _, volumes = printed(told)
        assert volumes == [VolumeManifest("data", 1 << 30, pb.DRIFT_POLICY_REPORT)]
    assert capsys.readouterr().err == ""


def test_a_list_beside_something_else_is_no_list_of_ours() -> None:
    with pytest.raises(Failure, match="this is a file of Compose"):
        printed({"services": {}, "volumes": []})
    with pytest.raises(Failure, match=r"sizeBytes: must be a whole number"):
        printed({"kind": "Volume", "name": "data", "sizeBytes": "1GiB"})


def refusal(text: str) -> str:
    with given(text.encode()), pytest.raises(Failure) as caught:
        load(["-"])
    assert caught.value.code == USAGE
    return caught.value.message


def test_all_fields_that_nobody_knows_are_told_at_once() -> None:
    text = (
        "nmae: web\nkind: Container\ncontainer:\n  image: x\n  comand: [a]\n  mounts:\n  - {volumeNmae: d}\nport: 1\n"
    )
    told = refusal(text).split("\ncapsulectl: ")
    assert [one.split(": ")[:2] for one in told] == [
        ["standard input:1", "nmae"],
        ["standard input:5", "container.comand"],
        ["standard input:7", "container.mounts[0].volumeNmae"],
        ["standard input:8", "port"],
    ]


@pytest.mark.parametrize(
    ("line", "says", "not_"),
    [
        ("desiredState: PAUSED", "'PAUSED' is none of RUNNING, STOPPED", "DELETING"),
        ("container: {image: x, stopGraceSeconds: -1}", "must be a whole number, and not negative", "below"),
        ("container: {image: x, stopGraceSeconds: soon}", "must be a whole number", "negative"),
    ],
)
def test_what_a_manifest_may_say_is_offered(line: str, says: str, not_: str) -> None:
    rest = "" if line.startswith("container") else "container: {image: x}\n"
    told = refusal(f"name: web\nkind: Container\n{rest}{line}\n")
    assert says in told and not_ not in told
