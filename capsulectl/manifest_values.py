"""What one node of a manifest's YAML says as a field's value: text, numbers, switches, sizes, enum values."""

import re
from math import isfinite
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor as Field

from capsulectl.errors import USAGE, Failure
from capsulectl.field_names import enum_prefix, is_quantity
from capsulectl.node_tags import BOOL, FLOAT, INT, NULL, STR
from capsulectl.places import place
from capsulectl.quantities import duration_ms, size_bytes

_DECIMAL = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_NOT_OFFERED = frozenset({"DESIRED_STATE_DELETING"})
"""What is answered, and nothing that a manifest could ask for."""


class ManifestError(Failure):
    """Says where: file, line, and the path of the field."""

    def __init__(self, source: str, node: yaml.Node, path: str, problem: str) -> None:
        where = f"{path}: " if path else ""
        super().__init__(f"{place(source, node)}: {where}{problem}", USAGE)


class Values:
    """Reads the nodes of one source. What a node does not say raises ManifestError."""

    def __init__(self, source: str) -> None:
        self._source = source

    def wrong(self, node: yaml.Node, path: str, problem: str) -> ManifestError:
        """What to raise for a node."""
        return ManifestError(self._source, node, path, problem)

    def value(self, field: Any, node: yaml.Node, path: str) -> Any:
        """What a field that is no message and no list is given."""
        if field.enum_type is not None:
            return self.enum(field.enum_type, node, path)
        match field.cpp_type:
            case Field.CPPTYPE_STRING:
                return self.text(node, path)
            case Field.CPPTYPE_BOOL:
                if node.tag != BOOL or node.value.lower() not in yaml.SafeLoader.bool_values:
                    raise self.wrong(node, path, "must be true or false")
                return yaml.SafeLoader.bool_values[node.value.lower()]
            case Field.CPPTYPE_DOUBLE:
                return self.decimal(node, path)
            # In quotes, too, bare digits are bytes or milliseconds where the field is named so: protobuf's own JSON.
            case _ if is_quantity(field) and not (node.tag == INT or (node.tag == STR and node.value.isdecimal())):
                return self.quantity(field, node, path)
            case _:
                return self.number(field, node, path)

    def decimal(self, node: yaml.Node, path: str) -> float:
        """A number that may have a fraction."""
        text = self.scalar(node, path)
        is_number = node.tag in (INT, FLOAT) or (node.tag == STR and _DECIMAL.fullmatch(text))
        try:
            if is_number and isfinite(number := float(text)):
                return number
        except ValueError:
            pass
        raise self.wrong(node, path, "must be a number, like 0.5 or 2")

    def quantity(self, field: Any, node: yaml.Node, path: str) -> int:
        """A size or a duration with its unit."""
        try:
            value = (size_bytes if field.name.endswith("_bytes") else duration_ms)(self.scalar(node, path))
        except ValueError as error:
            raise self.wrong(node, path, str(error)) from error
        return self.below(field, value, node, path)

    def number(self, field: Any, node: yaml.Node, path: str) -> int:
        """A whole number that the field has room for."""
        text = self.scalar(node, path)
        signed = field.cpp_type in (Field.CPPTYPE_INT32, Field.CPPTYPE_INT64)
        digits = text.removeprefix("-") if signed else text
        # As text, in quotes, JSON writes large numbers, and so do older manifests.
        if node.tag not in (INT, STR) or not digits.isdecimal() or (len(digits) > 1 and digits.startswith("0")):
            sign = ", and not negative" if not signed and text.startswith("-") else ""
            raise self.wrong(node, path, f"must be a whole number{sign}")
        return self.below(field, int(text), node, path)

    def below(self, field: Any, value: int, node: yaml.Node, path: str) -> int:
        """The value, if the field has room for it."""
        limit = 1 << {Field.CPPTYPE_UINT32: 32, Field.CPPTYPE_INT32: 31, Field.CPPTYPE_INT64: 63}.get(
            field.cpp_type, 64
        )
        if not -limit <= value < limit:
            raise self.wrong(node, path, f"must be below {limit}")
        return value

    def enum(self, enum: Any, node: yaml.Node, path: str) -> int:
        """An enum's value: in full, short, or by number."""
        return self.enum_value(enum, self.scalar(node, path), node, path)

    def enum_value(self, enum: Any, text: str, node: yaml.Node, path: str) -> int:
        """The same of a text that is only some of the node's."""
        prefix = enum_prefix(enum)
        if text.isdecimal() and int(text) in enum.values_by_number:
            return int(text)
        for name in (text, prefix + text.upper().replace("-", "_")):
            if name in enum.values_by_name:
                return int(enum.values_by_name[name].number)
        names = [one.name.removeprefix(prefix) for one in enum.values if one.number and one.name not in _NOT_OFFERED]
        words = ", ".join(name.lower().replace("_", "-") if enum.name == "RestartMode" else name for name in names)
        raise self.wrong(node, path, f"{text!r} is none of {words}")

    def text(self, node: yaml.Node, path: str) -> str:
        """What is text to whoever wrote it."""
        text = self.scalar(node, path)
        if node.tag in (BOOL, NULL):
            # YAML reads `yes`, `on` and nothing at all as something else than text: only quotes say what is meant.
            raise self.wrong(node, path, f'must be text: write it in quotes, "{text}"')
        return text

    def scalar(self, node: yaml.Node, path: str) -> str:
        """A single value, as it is written."""
        if not isinstance(node, yaml.ScalarNode):
            raise self.wrong(node, path, "must be a single value")
        return str(node.value)
