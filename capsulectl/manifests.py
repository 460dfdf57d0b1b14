"""Manifests: strict YAML to messages. What is unknown, doubled or mistyped is an error with file, line and path; but
what a volume does not have is told and ignored, for older manifests have it.

The fields are the protobuf messages' own, in lowerCamelCase or snake_case; enum values in full, short (`HOST`) or by
number; `env` as a mapping or as a list of name/value pairs. What `get` and `list` print and only a capsule can say
(status, uid) is read over, so that their output can be applied again.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from google.protobuf.descriptor import FieldDescriptor as Field

from capsule.v1 import volume_pb2
from capsule.v1 import workload_pb2 as pb
from capsulectl.errors import USAGE, Failure
from capsulectl.field_names import (
    OUTPUT_ONLY,
    VOLUME_OUTPUT_ONLY,
    elsewhere,
    enum_prefix,
    instead,
    is_quantity,
    names_of,
    nearest,
)
from capsulectl.manifest_files import NULL, documents, emptiness
from capsulectl.places import MERGE, Places, place
from capsulectl.quantities import duration_ms, size_bytes
from capsulectl.render import say
from capsulectl.short_forms import MEANT, SHORT
from projections.manifest import camel

KINDS = {
    "Container": pb.WORKLOAD_KIND_CONTAINER,
    "MicroVM": pb.WORKLOAD_KIND_MICRO_VM,
    "WORKLOAD_KIND_CONTAINER": pb.WORKLOAD_KIND_CONTAINER,
    "WORKLOAD_KIND_MICRO_VM": pb.WORKLOAD_KIND_MICRO_VM,
}
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_STR = "tag:yaml.org,2002:str"
_BOOL = "tag:yaml.org,2002:bool"
_NOT_OFFERED = frozenset({"DESIRED_STATE_DELETING"})
"""What is answered, and nothing that a manifest could ask for."""
_MERGES_MAX = 4
"""Bounds what merges itself."""


class VolumeManifest(NamedTuple):
    """A volume as declared. `drift` is a DriftPolicy's number."""

    name: str
    size_bytes: int
    drift: int = 0


class ManifestError(Failure):
    """Says where: file, line, and the path of the field."""

    def __init__(self, source: str, node: yaml.Node, path: str, problem: str) -> None:
        where = f"{path}: " if path else ""
        super().__init__(f"{place(source, node)}: {where}{problem}", USAGE)


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


class _Document:
    """One document of one source."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._strays: list[str] = []

    def _wrong(self, node: yaml.Node, path: str, problem: str) -> ManifestError:
        return ManifestError(self._source, node, path, problem)

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
        kind = self._scalar(fields["kind"][1], "kind")
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
        drift = self._enum(pb.DriftPolicy.DESCRIPTOR, fields["drift"][1], "drift") if "drift" in fields else 0
        try:
            return VolumeManifest(self._scalar(fields["name"][1], "name"), self._size(fields[size][1], size), drift)
        except ValueError as error:
            raise self._wrong(fields[size][1], size, str(error)) from error

    def _size(self, node: yaml.Node, name: str) -> int:
        """As declared, with its unit; or as `volume get` prints it."""
        if name == "sizeBytes":
            return self._number(volume_pb2.Volume.DESCRIPTOR.fields_by_name["size_bytes"], node, name)
        return size_bytes(self._scalar(node, name))

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
            name = self._scalar(key, path)
            if name in fields:
                raise self._wrong(key, _join(path, name), "given twice")
            fields[name] = (key, value)
        for key, value in node.value:
            if key.tag == MERGE:
                for other in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                    fields = self._mapping(other, path, merged + 1) | fields
        return fields

    def _fill(self, message: Any, fields: dict[str, tuple[yaml.Node, yaml.Node]], path: str) -> None:
        known = names_of(message.DESCRIPTOR)
        given: set[str] = set()
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
                setattr(message, field.name, self._quantity(field, value, where))

    def _set(self, message: Any, field: Any, node: yaml.Node, path: str) -> None:
        if field.name == "restart":
            self._restart(message, field, node, path)
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            target = getattr(message, field.name)
            for key, value, of in self._pairs(node, path, secrets=_has_secrets(message, field)):
                if of == "secret" and key in message.secret_env:
                    raise self._wrong(node, path, f"{key} is given in secretEnv, too")
                (message.secret_env if of == "secret" else target)[key] = value
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
                    target.append(self._value(field, item, where))
        elif field.message_type is not None:
            target = getattr(message, field.name)
            target.SetInParent()
            self._fill(target, self._mapping(node, path), path)
        else:
            setattr(message, field.name, self._value(field, node, path))

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
            for field, value in read(self._text(node, path)).items():
                if not isinstance(value, str | bool):
                    self._below(message.DESCRIPTOR.fields_by_name[field], value, node, path)
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
            message.restart = self._enum(field.enum_type, mode[1], f"{path}.mode")
            if fields:
                self._fill(message.restart_policy, fields, path)
            return
        mode_text, colon, attempts = self._scalar(node, path).partition(":")
        if mode_text == "unless-stopped":
            raise self._wrong(node, path, "write always: what was stopped by hand stays stopped with every mode")
        if not colon:
            message.restart = self._enum(field.enum_type, node, path)
            return
        if not attempts.isdecimal() or not 0 < int(attempts) < 1 << 32:
            raise self._wrong(node, path, f"{attempts!r} is no number of attempts: write it like on-failure:3")
        message.restart = self._enum_value(field.enum_type, mode_text, node, path)
        message.restart_policy.max_attempts = int(attempts)

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
                name = self._scalar(fields["name"][1], f"{path}[{number}].name")
                if name in seen:
                    raise self._wrong(item, f"{path}[{number}]", f"{name} is given twice")
                seen.add(name)
                yield name, self._text(fields[of][1], f"{path}[{number}].{of}"), of
            return
        for name, (_, value) in self._mapping(node, path).items():
            yield name, self._text(value, _join(path, name)), "value"

    def _value(self, field: Any, node: yaml.Node, path: str) -> Any:
        if field.enum_type is not None:
            return self._enum(field.enum_type, node, path)
        match field.cpp_type:
            case Field.CPPTYPE_STRING:
                return self._text(node, path)
            case Field.CPPTYPE_BOOL:
                if node.tag != _BOOL:
                    raise self._wrong(node, path, "must be true or false")
                return yaml.SafeLoader.bool_values[node.value.lower()]
            case Field.CPPTYPE_DOUBLE:
                return self._decimal(node, path)
            case _ if is_quantity(field) and node.tag != _INT:
                return self._quantity(field, node, path)
            case _:
                return self._number(field, node, path)

    def _decimal(self, node: yaml.Node, path: str) -> float:
        text = self._scalar(node, path)
        if node.tag not in (_INT, _FLOAT):
            raise self._wrong(node, path, "must be a number, like 0.5 or 2")
        try:
            return float(text)
        except ValueError:
            raise self._wrong(node, path, "must be a number, like 0.5 or 2") from None

    def _quantity(self, field: Any, node: yaml.Node, path: str) -> int:
        """A size or a duration with its unit."""
        try:
            value = (size_bytes if field.name.endswith("_bytes") else duration_ms)(self._scalar(node, path))
        except ValueError as error:
            raise self._wrong(node, path, str(error)) from error
        return self._below(field, value, node, path)

    def _number(self, field: Any, node: yaml.Node, path: str) -> int:
        text = self._scalar(node, path)
        signed = field.cpp_type in (Field.CPPTYPE_INT32, Field.CPPTYPE_INT64)
        digits = text.removeprefix("-") if signed else text
        # As text, in quotes, JSON writes large numbers, and so do older manifests.
        if node.tag not in (_INT, _STR) or not digits.isdecimal() or (len(digits) > 1 and digits.startswith("0")):
            sign = ", and not negative" if not signed and text.startswith("-") else ""
            raise self._wrong(node, path, f"must be a whole number{sign}")
        return self._below(field, int(text), node, path)

    def _below(self, field: Any, value: int, node: yaml.Node, path: str) -> int:
        limit = 1 << {Field.CPPTYPE_UINT32: 32, Field.CPPTYPE_INT32: 31, Field.CPPTYPE_INT64: 63}.get(
            field.cpp_type, 64
        )
        if not -limit <= value < limit:
            raise self._wrong(node, path, f"must be below {limit}")
        return value

    def _enum(self, enum: Any, node: yaml.Node, path: str) -> int:
        return self._enum_value(enum, self._scalar(node, path), node, path)

    def _enum_value(self, enum: Any, text: str, node: yaml.Node, path: str) -> int:
        prefix = enum_prefix(enum)
        if text.isdecimal() and int(text) in enum.values_by_number:
            return int(text)
        for name in (text, prefix + text.upper().replace("-", "_")):
            if name in enum.values_by_name:
                return int(enum.values_by_name[name].number)
        names = [one.name.removeprefix(prefix) for one in enum.values if one.number and one.name not in _NOT_OFFERED]
        words = ", ".join(name.lower().replace("_", "-") if enum.name == "RestartMode" else name for name in names)
        raise self._wrong(node, path, f"{text!r} is none of {words}")

    def _text(self, node: yaml.Node, path: str) -> str:
        text = self._scalar(node, path)
        if node.tag in (_BOOL, NULL):
            # YAML reads `yes`, `on` and nothing at all as something else than text: only quotes say what is meant.
            raise self._wrong(node, path, f'must be text: write it in quotes, "{text}"')
        return text

    def _scalar(self, node: yaml.Node, path: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, path, "must be a single value")
        return str(node.value)


def _kind_instead(word: str) -> str:
    kinds = ["Container", "MicroVM", "Volume"]
    by_letters = {kind.lower(): kind for kind in kinds}
    return nearest(by_letters.get(word.lower(), word), kinds) or ": Container, MicroVM or Volume"


def _has_secrets(message: Any, field: Any) -> bool:
    """Whether a variable of the field may have a secret's value."""
    return field.name == "env" and "secret_env" in message.DESCRIPTOR.fields_by_name


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
