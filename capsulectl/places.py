"""Where in its files stands what is applied: a refusal of the capsule's, too, is told with file and line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from capsulectl.errors import Failure
from capsulectl.node_tags import MERGE
from projections.manifest import written

_STEP = re.compile(r"[^.\[\]]+|\[\d+\]")


class Places:
    """Documents of manifests, by kind (`workload`, `volume`) and name."""

    def __init__(self) -> None:
        self._documents: dict[tuple[str, str], tuple[str, yaml.Node]] = {}

    def note(self, kind: str, name: str, source: str, node: yaml.Node) -> str:
        """Where one of that kind and name stands already; empty when it is the first, and then noted."""
        before = self._documents.setdefault((kind, name), (source, node))
        return "" if before[1] is node else place(*before)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Around a call: what it refuses because of a field has the field's place in front."""
        try:
            yield
        except Failure as failure:
            where = self._of(failure.__cause__)
            if not where:
                raise
            raise type(failure)(f"{where}: {failure.message}", failure.code) from failure

    def _of(self, error: Any) -> str:
        """The place that a refusal is about; empty when it is about none."""
        notes = dict(error.trailing_metadata() or ()) if hasattr(error, "trailing_metadata") else {}
        field, _, _ = str(notes.get("capsule-fields", "")).partition(",")
        document = self._subject(error.details() or "") if field else None
        line = None if document is None else _line(document[1], _STEP.findall(field))
        return "" if document is None or line is None else f"{document[0]}:{line + 1}"

    def _subject(self, message: str) -> tuple[str, yaml.Node] | None:
        """Whose refusal it is: of one of many it begins with the name."""
        if len(self._documents) == 1:
            return next(iter(self._documents.values()))
        begins = (f"{'volume ' if kind == 'volume' else ''}{name}" for kind, name in self._documents)
        named = zip(begins, self._documents.values(), strict=True)
        return next((one for begin, one in named if message.startswith((f"{begin} ", f"{begin}: "))), None)


def place(source: str, node: yaml.Node) -> str:
    """File and line of a node."""
    return f"{source}:{node.start_mark.line + 1}"


def _line(node: yaml.Node, steps: list[str]) -> int | None:
    """The line of a field or, where it is not written, of the nearest that it would be in; None when that is none."""
    line = None
    for step in steps:
        found = _item(node, step) if step.startswith("[") else _pair(node, step)
        if found is None:
            break
        at, node = found
        line = at.start_mark.line
    return line


def _item(node: yaml.Node, step: str) -> tuple[yaml.Node, yaml.Node] | None:
    number = int(step[1:-1])
    if not isinstance(node, yaml.SequenceNode) or number >= len(node.value):
        return None
    return node.value[number], node.value[number]


def _pair(node: yaml.Node, step: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Key and value; what a mapping has itself comes before what it merges, as where manifests are read."""
    if not isinstance(node, yaml.MappingNode):
        return None
    own = [(key, value) for key, value in node.value if key.tag != MERGE]
    for same in (str, written):
        for key, value in own:
            if isinstance(key, yaml.ScalarNode) and same(key.value) == same(step):
                return key, value
    merged = [value for key, value in node.value if key.tag == MERGE]
    others = (one for value in merged for one in (value.value if isinstance(value, yaml.SequenceNode) else [value]))
    return next((found for one in others if (found := _pair(one, step)) is not None), None)
