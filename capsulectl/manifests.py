"""Manifests: strict YAML to messages. What is unknown, doubled or mistyped is an error with file, line and path; but
what a volume does not have is told and ignored, for older manifests have it.

The fields are the protobuf messages' own, in lowerCamelCase or snake_case; enum values in full, short (`HOST`) or by
number; `env` as a mapping or as a list of name/value pairs. What `get` and `list` print and only a capsule can say
(status, uid) is read over, so that their output can be applied again.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from capsule.v1 import volume_pb2
from capsule.v1 import workload_pb2 as pb
from capsulectl.errors import USAGE, Failure
from capsulectl.field_names import (
    OUTPUT_ONLY,
    VOLUME_OUTPUT_ONLY,
    elsewhere,
    instead,
    names_of,
    nearest,
)
from capsulectl.manifest_files import documents, emptiness
from capsulectl.manifest_values import ManifestError, Values
from capsulectl.node_tags import MERGE, NULL
from capsulectl.places import Places
from capsulectl.quantities import size_bytes
from capsulectl.render import say
from capsulectl.short_forms import MEANT, SHORT
from projections.manifest import camel

KINDS = {
    "Container": pb.WORKLOAD_KIND_CONTAINER,
    "MicroVM": pb.WORKLOAD_KIND_MICRO_VM,
    "WORKLOAD_KIND_CONTAINER": pb.WORKLOAD_KIND_CONTAINER,
    "WORKLOAD_KIND_MICRO_VM": pb.WORKLOAD_KIND_MICRO_VM,
}
_MERGES_MAX = 4
"""Bounds what merges itself."""


class VolumeManifest(NamedTuple):
    """A volume as declared. `drift` is a DriftPolicy's number."""

    name: str
    size_bytes: int
    drift: int = 0


def load(
    sources: list[str], recursive: bool = False, places: Places | None = None
) -> tuple[list[pb.Workload], list[VolumeManifest]]:
    """What every document of every source declares; `places` learns where. Raises Failure."""
    workloads: list[pb.Workload] = []
    volumes: list[VolumeManifest] = []
    places = Places() if places is None else places
    for source, node in documents(sources, recursive):
        parsed = _Document(source).parse(node)
        kind = "volume" if isinstance(parsed, VolumeManifest) else "workload"
        before = places.note(kind, parsed.name, source, node)
        if before:
            raise ManifestError(source, node, "name", f"{parsed.name} is declared already at {before}")
        if isinstance(parsed, VolumeManifest):
            volumes.append(parsed)
        else:
            workloads.append(parsed)
    if not workloads and not volumes:
        raise Failure(f"nothing to apply in {', '.join(emptiness(one, recursive) for one in sources)}", USAGE)
    return workloads, volumes


_Said = dict[str, tuple[int, str]]
"""What was said of a restart policy: by field its value, and under which name."""


class _Document:
    """One document of one source."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._read = Values(source)
        self._strays: list[str] = []
        self._policies: dict[str, _Said] = {}

    def _wrong(self, node: yaml.Node, path: str, problem: str) -> ManifestError:
        return self._read.wrong(node, path, problem)

    def parse(self, node: yaml.Node) -> pb.Workload | VolumeManifest:
        """The message. Raises Failure: of fields that nobody knows it names all, for they are mended together; what
        else is wrong may only follow from them."""
        try:
            parsed = self._parse(node)
        except ManifestError:
            if not self._strays:
                raise
        if self._strays:
            raise Failure("\ncapsulectl: ".join(self._strays), USAGE)
        return parsed

    def _parse(self, node: yaml.Node) -> pb.Workload | VolumeManifest:
        fields = self._mapping(node, "")
        if "kind" not in fields:
            raise self._wrong(node, "kind", f"missing: {elsewhere(fields) or 'Container, MicroVM or Volume'}")
        kind = self._read.scalar(fields["kind"][1], "kind")
        if kind == "Volume":
            return self._volume(node, fields)
        if kind not in KINDS:
            meant = f": {elsewhere(fields, kind)}" if elsewhere(fields, kind) else _kind_instead(kind)
            raise self._wrong(fields["kind"][1], "kind", f"{kind!r} is no kind{meant}")
        rest = {name: pair for name, pair in fields.items() if name != "kind"}
        workload = pb.Workload(kind=KINDS[kind])
        self._fill(workload, rest, "")
        if not workload.name:
            raise self._wrong(node, "name", "missing")
        section = "container" if workload.kind == pb.WORKLOAD_KIND_CONTAINER else "micro_vm"
        other = "micro_vm" if section == "container" else "container"
        if workload.HasField(other):
            raise self._wrong(node, camel(other), f"does not go with `kind: {kind}`")
        if not workload.HasField(section):
            raise self._wrong(node, camel(section), f"missing: `kind: {kind}` needs it")
        self._check_image(getattr(workload, section), fields.get(camel(section)) or fields[section], camel(section))
        if section == "container" and workload.container.network_mode == pb.NETWORK_MODE_UNSPECIFIED:
            workload.container.network_mode = pb.NETWORK_MODE_BRIDGE
        return workload

    def _check_image(self, spec: Any, pair: tuple[yaml.Node, yaml.Node], section: str) -> None:
        """An image is needed, but by a microVM that boots what is its own."""
        if spec.image or getattr(spec, "kernel_path", "") or getattr(spec, "rootfs_path", ""):
            return
        key, body = pair
        at = self._mapping(body, section).get("image", (key, body))[0]
        raise self._wrong(at, f"{section}.image", "missing: say what to run, like busybox:1.36")

    def _volume(self, node: yaml.Node, fields: dict[str, tuple[yaml.Node, yaml.Node]]) -> VolumeManifest:
        printed = "sizeBytes" in fields and "size" not in fields
        size = "sizeBytes" if printed else "size"
        for name, (key, _) in fields.items():
            if name not in ("name", "kind", size, "drift") and not (printed and name in VOLUME_OUTPUT_ONLY):
                # What the field's CLI applies, this one applies: it ignores what a volume does not have, in silence.
                problem = "a Volume has name, size and drift: this is ignored"
                say(f"warning: {self._wrong(key, name, problem).message}")
        for name in ("name", size):
            if name not in fields:
                raise self._wrong(node, name, "missing")
        drift = self._read.enum(pb.DriftPolicy.DESCRIPTOR, fields["drift"][1], "drift") if "drift" in fields else 0
        try:
            return VolumeManifest(
                self._read.scalar(fields["name"][1], "name"), self._size(fields[size][1], size), drift
            )
        except ValueError as error:
            raise self._wrong(fields[size][1], size, str(error)) from error

    def _size(self, node: yaml.Node, name: str) -> int:
        """As declared, with its unit; or as `volume get` prints it."""
        if name == "sizeBytes":
            return self._read.number(volume_pb2.Volume.DESCRIPTOR.fields_by_name["size_bytes"], node, name)
        return size_bytes(self._read.scalar(node, name))

    # --- YAML to messages ----------------------------------------------------------------------------------------

    def _mapping(self, node: yaml.Node, path: str, merged: int = 0) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Its pairs by their keys; what it has itself comes before what it merges (`<<: *other`)."""
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, path, "must be a mapping")
        if merged > _MERGES_MAX:
            raise self._wrong(node, path, f"merges what merges again, and so on: {_MERGES_MAX} times at most")
        fields: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if key.tag == MERGE:
                continue
            name = self._read.scalar(key, path)
            if name in fields:
                raise self._wrong(key, _join(path, name), "given twice")
            fields[name] = (key, value)
        for key, value in node.value:
            if key.tag == MERGE:
                for other in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                    fields = self._mapping(other, path, merged + 1) | fields
        return fields

    def _fill(self, message: Any, fields: dict[str, tuple[yaml.Node, yaml.Node]], path: str) -> dict[str, yaml.Node]:
        """What it has a value of, by field, with the key that gave it."""
        known = names_of(message.DESCRIPTOR)
        given: set[str] = set()
        said: dict[str, yaml.Node] = {}
        for name, (key, value) in fields.items():
            where = _join(path, name)
            field = known.get(name)
            if field is None:
                self._strays.append(
                    self._wrong(key, where, f"unknown field{instead(name, message.DESCRIPTOR)}").message
                )
                continue
            if field.name in given:
                raise self._wrong(key, where, "given twice, under two names")
            given.add(field.name)
            if not path and field.name in OUTPUT_ONLY:
                continue
            if isinstance(value, yaml.ScalarNode) and value.tag == NULL:
                continue  # `args:` with nothing behind it is as if it were not there
            if name in (field.json_name, field.name):
                self._set(message, field, value, where)
            else:
                setattr(message, field.name, self._read.quantity(field, value, where))
            said[field.name] = key
        return said

    def _set(self, message: Any, field: Any, node: yaml.Node, path: str) -> None:
        if field.name == "restart":
            self._restart(message, field, node, path)
        elif field.name == "restart_policy":
            self._policy(message, self._mapping(node, path), path)
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            target = getattr(message, field.name)
            for key, value, of in self._pairs(node, path, secrets=_has_secrets(message, field)):
                into = message.secret_env if of == "secret" else target
                if key in into:  # a secret's name can come from env, and then from secretEnv: in either order
                    other = "env" if field.name == "secret_env" else "secretEnv"
                    raise self._wrong(node, path, f"{key} is given in {other}, too")
                into[key] = value
        elif field.is_repeated:
            if not isinstance(node, yaml.SequenceNode):
                from capsulectl.bracketed import as_list

                raise self._wrong(node, path, f"must be a list: write {as_list(field, node)}")
            target = getattr(message, field.name)
            for number, item in enumerate(node.value):
                where = f"{path}[{number}]"
                if field.message_type is not None:
                    self._item(target.add(), item, where)
                else:
                    target.append(self._read.value(field, item, where))
        elif field.message_type is not None:
            target = getattr(message, field.name)
            target.SetInParent()
            self._fill(target, self._mapping(node, path), path)
        else:
            setattr(message, field.name, self._read.value(field, node, path))

    def _item(self, message: Any, node: yaml.Node, path: str) -> None:
        """One of a list: a mapping, or its short form."""
        name = message.DESCRIPTOR.name
        if name in MEANT and isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, path, f"must be a mapping: write {MEANT[name](str(node.value))}")
        if name not in SHORT or not isinstance(node, yaml.ScalarNode):
            self._fill(message, self._mapping(node, path), path)
            return
        read, _ = SHORT[name]
        try:
            for field, value in read(self._read.text(node, path)).items():
                if not isinstance(value, str | bool):
                    self._read.below(message.DESCRIPTOR.fields_by_name[field], value, node, path)
                setattr(message, field, value)
        except ValueError as error:
            raise self._wrong(node, path, str(error)) from error

    def _restart(self, message: Any, field: Any, node: yaml.Node, path: str) -> None:
        """A mode, a mode with the number of attempts (`on-failure:3`), or a mapping of mode and policy."""
        if isinstance(node, yaml.MappingNode):
            fields = self._mapping(node, path)
            mode = fields.pop("mode", None)
            if mode is None:
                raise self._wrong(node, f"{path}.mode", "missing: always, on-failure or never")
            message.restart = self._read.enum(field.enum_type, mode[1], f"{path}.mode")
            if fields:
                self._policy(message, fields, path)
            return
        mode_text, colon, attempts = self._read.scalar(node, path).partition(":")
        if mode_text == "unless-stopped":
            raise self._wrong(node, path, "write always: what was stopped by hand stays stopped with every mode")
        if not colon:
            message.restart = self._read.enum(field.enum_type, node, path)
            return
        if not attempts.isdecimal() or not 0 < int(attempts) < 1 << 32:
            raise self._wrong(node, path, f"{attempts!r} is no number of attempts: write it like on-failure:3")
        message.restart = self._read.enum_value(field.enum_type, mode_text, node, path)
        self._policy_field(message, "max_attempts", int(attempts), node, path)

    def _policy(self, message: Any, fields: dict[str, tuple[yaml.Node, yaml.Node]], path: str) -> None:
        """The restart policy, or what `restart` says of it."""
        message.restart_policy.SetInParent()
        policy = type(message.restart_policy)()
        for name, key in self._fill(policy, fields, path).items():
            self._policy_field(message, name, getattr(policy, name), key, path)

    def _policy_field(self, message: Any, name: str, value: int, node: yaml.Node, path: str) -> None:
        """Both `restart` and `restartPolicy` may say it, as where the policy that `get` prints stands in a manifest and
        `restart` is edited: then both must say the same, for whoever wrote them expects both to be honoured."""
        section, _, by = path.rpartition(".")
        before = self._policies.setdefault(section, {}).setdefault(name, (value, by))
        if before[0] != value:
            both = f"{before[0]} in {before[1]}, and {value} in {by}"
            raise self._wrong(node, path, f"{camel(name)} is given twice: {both}")
        setattr(message.restart_policy, name, value)

    def _pairs(self, node: yaml.Node, path: str, secrets: bool) -> Iterator[tuple[str, str, str]]:
        """Name, value and of what it is one. A mapping, or a list of names, each with a value or, with `secrets`, a
        secret."""
        if isinstance(node, yaml.SequenceNode):
            seen: set[str] = set()
            for number, item in enumerate(node.value):
                if isinstance(item, yaml.ScalarNode) and "=" in item.value:
                    name, _, value = item.value.partition("=")
                    meant = f'not a list of NAME=value: write {name}: "{value}"'
                    raise self._wrong(item, f"{path}[{number}]", f"must be a mapping, {meant}")
                fields = self._mapping(item, f"{path}[{number}]")
                of = "secret" if secrets and "secret" in fields else "value"
                if fields.keys() != {"name", of}:
                    words = "value or secret" if secrets else "value"
                    raise self._wrong(item, f"{path}[{number}]", f"must have name and {words}, and nothing else")
                name = self._read.scalar(fields["name"][1], f"{path}[{number}].name")
                if name in seen:
                    raise self._wrong(item, f"{path}[{number}]", f"{name} is given twice")
                seen.add(name)
                yield name, self._read.text(fields[of][1], f"{path}[{number}].{of}"), of
            return
        for name, (_, value) in self._mapping(node, path).items():
            yield name, self._read.text(value, _join(path, name)), "value"


def _kind_instead(word: str) -> str:
    kinds = ["Container", "MicroVM", "Volume"]
    by_letters = {kind.lower(): kind for kind in kinds}
    return nearest(by_letters.get(word.lower(), word), kinds) or ": Container, MicroVM or Volume"


def _has_secrets(message: Any, field: Any) -> bool:
    """Whether a variable of the field may have a secret's value."""
    return field.name == "env" and "secret_env" in message.DESCRIPTOR.fields_by_name


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
