"""What the command line does without a machine: manifests, schema, contexts, usage errors."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl.app import app
from capsulectl.errors import Failure
from capsulectl.field_names import OUTPUT_ONLY, short_name
from capsulectl.fields import FIELDS
from capsulectl.log_lines import Printer, stamp
from capsulectl.manifests import VolumeManifest, load
from capsulectl.schema import json_schema
from tests.support.daemon import CTL

ROOT = Path(__file__).resolve().parents[2]

FIELD_MANIFESTS = """
name: host
kind: Container
container:
  image: docker.io/library/nginx:1.27
  networkMode: NETWORK_MODE_HOST
---
name: bridged
kind: Container
container:
  image: nginx
  command: [nginx]
  args: ["-g", "daemon off;"]
  env:
    A: one
  ports:
    - {containerPort: 80, hostPort: 8080, protocol: tcp}
  mounts:
    - {volumeName: data, mountPath: /data, readOnly: true}
---
name: listed
kind: Container
container: {image: nginx, env: [{name: A, value: one}], network_mode: 1}
---
name: vm
kind: MicroVM
microVm: {image: nginx, vcpus: 2, memoryMib: 512, ports: [{containerPort: 80, hostPort: 81}]}
---
name: own-kernel
kind: MicroVM
microVm: {kernelPath: /k, rootfsPath: /r}
---
name: data
kind: Volume
size: 2GiB
"""


def ctl(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    merged = {**os.environ, "CAPSULE_CONFIG_DIR": "/nonexistent", **environment}
    merged.pop("CAPSULE_HOST", None)
    return subprocess.run([CTL, *arguments], env=merged, capture_output=True, text=True, check=False)


def parse(tmp_path: Path, text: str) -> pb.Workload:
    file = tmp_path / "m.yaml"
    file.write_text(text)
    (workload,), _ = load([str(file)])
    return workload


def test_manifests_in_the_field_parse_unchanged(tmp_path: Path) -> None:
    (tmp_path / "field.yaml").write_text(FIELD_MANIFESTS)
    workloads, volumes = load([str(tmp_path)])
    host, bridged, listed, vm, kernel = workloads
    assert host.container.network_mode == listed.container.network_mode == pb.NETWORK_MODE_HOST
    assert bridged.container.network_mode == pb.NETWORK_MODE_BRIDGE
    assert dict(bridged.container.env) == dict(listed.container.env) == {"A": "one"}
    assert bridged.container.ports[0].host_port == 8080 and bridged.container.mounts[0].read_only
    assert (vm.micro_vm.vcpus, vm.micro_vm.memory_mib, kernel.micro_vm.rootfs_path) == (2, 512, "/r")
    assert volumes == [VolumeManifest("data", 2 << 30)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: a\nkind: Container\ncontainer:\n  imge: x\n", "m.yaml:4: container.imge: unknown field: do you mean image?"),
        ("name: a\nkind: Pod\n", "m.yaml:2: kind: 'Pod' is no kind"),
        ("kind: Container\ncontainer: {image: x}\n", "m.yaml:1: name: missing"),
        ("name: a\nkind: Container\n", "container: missing"),
        ("name: a\nname: b\nkind: Container\n", "m.yaml:2: name: given twice"),
        ("name: a\nkind: Container\ncontainer: {image: x, env: {A: yes}}\n", 'container.env.A: must be text: write it in'),
        ("name: a\nkind: Container\ncontainer: {image: x, privileged: 1}\n", "must be true or false"),
        ("name: a\nkind: Container\ncontainer: {image: x, ports: [{hostPort: 1e3}]}\n", "ports[0].hostPort: must be a whole"),
        ("name: a\nkind: Container\ncontainer: {image: x, networkMode: WIFI}\n", "'WIFI' is none of HOST, BRIDGE, NONE"),
        ("name: a\nkind: Container\ncontainer: {image: x, args: ls}\n", "container.args: must be a list"),
        ("name: a\nkind: Container\ncontainer: {image: x}\nmicroVm: {}\n", "microVm: does not go with"),
        ("name: a\nkind: Volume\nsize: 512\n", "size: '512' has no unit that can be trusted: say 512MiB"),
        ("a: [", "no valid YAML"),
        ("", "nothing to apply"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(Failure) as caught:
        parse(tmp_path, text)
    assert complaint in caught.value.message and caught.value.code == 2


def test_what_a_volume_does_not_have_is_told_and_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """wire-contract.md: the field's CLI ignores it, and its manifests are applied here, too."""
    (tmp_path / "v.yaml").write_text("name: v\nkind: Volume\nsize: 1G\nlabels: {}\n")
    assert load([str(tmp_path / "v.yaml")]) == ([], [VolumeManifest("v", 1 << 30)])
    said = capsys.readouterr().err
    assert said.endswith("v.yaml:4: labels: a Volume has name, size and drift: this is ignored\n")


def test_sizes_are_powers_of_two_with_or_without_i_and_b(tmp_path: Path) -> None:
    for text, size in (
        ("1K", 1 << 10),
        ("2MB", 2 << 20),
        ("3gib", 3 << 30),
        ("4Mi", 4 << 20),
        ("1 TiB", 1 << 40),
        ("1P", 1 << 50),
    ):
        (tmp_path / "v.yaml").write_text(f"name: v\nkind: Volume\nsize: {text}\n")
        assert load([str(tmp_path / "v.yaml")])[1][0].size_bytes == size


def test_the_examples_parse() -> None:
    workloads, _ = load([str(ROOT / "examples")])
    assert {workload.name for workload in workloads} >= {"hello", "web", "clock"}


def test_every_field_is_explained_and_no_other() -> None:
    seen: set[str] = set()
    messages = [pb.Workload.DESCRIPTOR]
    while messages:
        message = messages.pop()
        seen.add(message.name)
        fields = [field for field in message.fields if message.name != "Workload" or field.name not in OUTPUT_ONLY]
        assert FIELDS[message.name].keys() == {field.json_name for field in fields}
        inner = [field.message_type for field in fields if field.message_type is not None]
        messages += [one for one in inner if not one.GetOptions().map_entry]
    assert FIELDS.keys() - seen == {"Volume"}


def test_the_manual_names_every_field_of_a_container() -> None:
    manual = (ROOT / "docs" / "workloads.md").read_text()
    fields = pb.ContainerSpec.DESCRIPTOR.fields
    assert [one.json_name for one in fields if not {f"`{one.json_name}", f"`{short_name(one)}`"} & _words(manual)] == []


def _words(text: str) -> set[str]:
    """Every name in code, as it begins and as a whole."""
    names = re.findall(r"`([A-Za-z]+)(`?)", text)
    return {f"`{name}" for name, _ in names} | {f"`{name}`" for name, whole in names if whole}


def test_the_schema_names_the_fields_of_the_parser() -> None:
    container = json_schema()["oneOf"][0]["properties"]["container"]["properties"]
    assert container["networkMode"]["enum"][:3] == ["HOST", "BRIDGE", "NONE"] and container["env"]["type"] == "object"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nonsense",), 2, "nonsense"),
        (("apply",), 2, "takes its files behind -f"),
        (("get",), 2, "NAME"),
        (("list", "-o", "xml"), 2, "xml"),
        (("list",), 1, "no capsule to talk to"),
        (("list", "--capsule", "unix:/nonexistent/socket"), 1, "does not answer"),
        (("list", "--capsule", "unix:/nonexistent"), 1, "there is no such socket. Is it the right path"),
        (("list", "--capsule", "nobody"), 1, "there is no context nobody"),
        (("explain", "Container.nope"), 2, "no field nope"),
        (("exec", "web"), 2, "nothing to run"),
        (("context", "use", "nobody"), 1, "no context nobody"),
        (("journal", "verify", "--dir", "/nonexistent"), 1, "/nonexistent holds no journal"),
        (("replay", "--file", "/nonexistent"), 2, "cannot be read"),
        (("journal", "export", "/", "--force"), 2, "/ is no file that could be replaced"),
        (("journal", "export", "/dev/full", "--force"), 2, "/dev/full is no file that could be replaced"),
    ],
)
def test_usage_errors_exit_2_and_failures_1(arguments: tuple[str, ...], code: int, words: str) -> None:
    done = ctl(*arguments)
    assert (done.returncode, done.stdout if code == 2 else "") == (code, "") and words in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("other", ["memory", "./memory", "link", "inside/memory"])
def test_a_journal_and_its_sealed_values_are_two_files(tmp_path: Path, other: str) -> None:
    (tmp_path / "memory").write_text("as it was")
    (tmp_path / "link").symlink_to("memory")
    (tmp_path / "inside").symlink_to(".")
    (tmp_path / "passphrase").write_text("correct horse\n")
    secrets = ("--secrets", f"{tmp_path}/{other}", "--passphrase-file", f"{tmp_path}/passphrase")
    done = ctl("journal", "export", f"{tmp_path}/memory", "--force", *secrets)
    assert (done.returncode, done.stdout) == (2, "") and f"{other} is where the journal is written" in done.stderr
    assert (tmp_path / "memory").read_text() == "as it was"
    for nowhere in (("-", "--secrets=-"), (f"{tmp_path}/-", f"--secrets={tmp_path}/-"), ("new", "--secrets", "-")):
        refused = ctl("journal", "export", *nowhere)
        assert (refused.returncode, refused.stdout) == (2, "") and "Traceback" not in refused.stderr


@pytest.mark.parametrize("verb", ["journal export", "restore"])
def test_a_passphrase_that_seals_nothing_is_a_mistake(verb: str) -> None:
    done = ctl(*verb.split(), "memory.capsule", "--passphrase-file", "/nonexistent")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("capsulectl: --passphrase-file is for the sealed values")


def test_help_needs_no_machine_and_has_an_example_for_every_verb() -> None:
    def verbs(parent: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = []
        for name in parent:  # type: ignore[attr-defined]
            if not name.startswith("-"):
                child = parent[name]  # type: ignore[index]
                inner = verbs(child, (*path, name))
                found += inner or [(*path, name)]
        return found

    commands = verbs(app, ())
    assert len(commands) > 30
    for command in commands:
        node = app
        for name in command:
            node = node[name]
        text = (node.default_command.__doc__ if node.default_command else None) or ""
        assert "Example: capsulectl" in text or "Example: source" in text or "| capsulectl" in text, command


def test_completion_scripts_are_made_for_each_shell() -> None:
    for shell in ("bash", "zsh", "fish"):
        done = ctl("completion", shell)
        assert done.returncode == 0 and "capsulectl" in done.stdout


def test_contexts_are_kept_private_and_apart_from_older_clients(tmp_path: Path) -> None:
    where = {"CAPSULE_CONFIG_DIR": str(tmp_path / "c")}
    assert ctl("context", "add", "home", "--socket", "/s", "--use", **where).returncode == 0
    file = tmp_path / "c" / "local.yaml"
    assert file.stat().st_mode & 0o777 == 0o600 and (tmp_path / "c").stat().st_mode & 0o777 == 0o700
    taken = ctl("context", "add", "home", "--socket", "/t", **where)
    assert taken.returncode == 1 and "the context home is /s already" in taken.stderr
    again = ctl("context", "add", "home", "--socket", "/s", **where)
    assert again.returncode == 0 and "where no capsule is now" in again.stderr
    assert ctl("context", "add", "home", "--socket", "/t", "--force", **where).returncode == 0
    assert ctl("context", "add", "home", "--socket", "/s", "--force", **where).returncode == 0
    assert json.loads(ctl("context", "list", "-o", "json", **where).stdout) == {
        "current": "home",
        "contexts": {"home": "unix:/s"},
    }
    assert "unix:/s" in ctl("list", **where).stderr
    assert ctl("context", "rm", "home", **where).returncode == 0


def test_a_log_s_lines_begin_with_their_time_and_name_only_where_that_is_asked(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    plain = Printer("", timestamps=False)
    plain.print(pb.WorkloadLogChunk(data=b"half"))
    plain.print(pb.WorkloadLogChunk(data=b" line\r50%\n"))
    assert capfdbinary.readouterr() == (b"half line\r50%\n", b"")
    at_ns = 1_700_000_000_042_000_000
    stamped = Printer("web | ", timestamps=True)
    stamped.print(pb.WorkloadLogChunk(data=b"a\nb", at_unix_ns=at_ns))
    stamped.print(pb.WorkloadLogChunk(data=b"c\n", at_unix_ns=at_ns))
    stamped.print(pb.WorkloadLogChunk(data=b"late\n", at_unix_ns=at_ns, late=True, stderr=True))
    stamped.print(pb.WorkloadLogChunk(data=b"[capsule] gone\n", dropped_bytes=7))
    out, err = capfdbinary.readouterr()
    time = stamp(at_ns, False)
    assert time.split(b"T")[1].split(b".")[1].startswith(b"042") and len(time) == 30
    assert out == b"web | " + time + b"a\nweb | " + time + b"bc\n"
    assert err == b"web | ~" + time + b"late\nweb | [capsule] gone\n"


def test_options_of_logs_that_contradict_each_other_are_a_usage_error() -> None:
    for arguments in (("a", "b", "-p"), ("a", "-f", "--until", "1m"), ("a", "--since", "yesterday")):
        done = ctl("logs", *arguments)
        assert done.returncode == 2 and done.stderr.startswith("capsulectl: ")
