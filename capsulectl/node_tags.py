"""The tags of YAML 1.1's own that a manifest's nodes have, and what has others."""

import yaml

_OWN = "tag:yaml.org,2002:"
INT = f"{_OWN}int"
FLOAT = f"{_OWN}float"
STR = f"{_OWN}str"
BOOL = f"{_OWN}bool"
NULL = f"{_OWN}null"
MAP = f"{_OWN}map"
SEQ = f"{_OWN}seq"
MERGE = f"{_OWN}merge"
_TIMESTAMP = f"{_OWN}timestamp"
_VALUE = f"{_OWN}value"
_TAKEN = frozenset({INT, FLOAT, STR, BOOL, NULL, MAP, SEQ, MERGE, _TIMESTAMP, _VALUE})
"""A date that is written bare, and `=`, have tags, too: both are text to us."""


def stray(node: yaml.Node) -> tuple[yaml.Node, str] | None:
    """The first node, from here on, whose tag says what nobody would honour, and that tag as it is written."""
    seen: set[int] = set()  # what is an alias may hold itself
    left = [node]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if one.tag not in _TAKEN:
            return one, one.tag.replace(_OWN, "!!", 1)
        if isinstance(one, yaml.MappingNode):
            left += [part for pair in reversed(one.value) for part in reversed(pair)]
        elif isinstance(one, yaml.SequenceNode):
            left += reversed(one.value)
    return None
