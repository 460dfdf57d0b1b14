"""Where manifests come from: files, directories, standard input, and the documents in them, as nodes of YAML."""

import os
from collections.abc import Iterator
from pathlib import Path

import yaml

from capsulectl.errors import USAGE, Failure
from capsulectl.files import file_text, input_text
from capsulectl.json_nodes import json_node
from capsulectl.node_tags import NULL, stray
from capsulectl.render import say

SUFFIXES = (".yaml", ".yml", ".json")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LISTS, _READ_AT = ("workloads", "volumes"), ("desiredSeq", "seq")
"""What `list` and `get` print of several at once, and beside that when it was so."""
_NAMED_MOST = 3
"""Of subdirectories that are not read, so many are named."""


def documents(sources: list[str], recursive: bool) -> Iterator[tuple[str, yaml.Node]]:
    """Every document of every source and what the source is called: files, directories (their manifests, and those of
    their subdirectories if that is meant), `-` for standard input. What is named twice is read once. Raises Failure."""
    for source, text in _texts(sources, recursive):
        for node in _documents(source, text):
            yield source, node


def emptiness(source: str, recursive: bool) -> str:
    """A source in which there was nothing, and what would have been something."""
    if source == "-":
        return "standard input"
    below = "" if recursive else ", with -R those of its subdirectories, too"
    return f"{source}: of a directory its .yaml, .yml and .json are read{below}" if os.path.isdir(source) else source


def _texts(sources: list[str], recursive: bool) -> Iterator[tuple[str, str]]:
    read: set[str] = set()
    for source in sources:
        for file in _manifests_in(source, recursive) if os.path.isdir(source) else [source]:
            real = file if file == "-" else os.path.realpath(file)
            if real not in read:
                read.add(real)
                yield ("standard input", input_text()) if file == "-" else (file, file_text(file))


def _manifests_in(directory: str, recursive: bool) -> list[str]:
    found: list[str] = []
    unread: list[str] = []
    left = [Path(directory)]
    try:
        while left:
            for one in left.pop().iterdir():
                if one.is_dir():
                    if not one.name.startswith("."):  # a repository's own, an editor's
                        # A link may lead anywhere, to where it stands most of all.
                        left.append(one) if recursive and not one.is_symlink() else unread.append(str(one))
                elif one.suffix in SUFFIXES and one.is_file():
                    found.append(str(one))
    except OSError as error:
        raise Failure(f"{error.filename} cannot be read: {error.strerror}", USAGE) from error
    if unread:
        _tell_of(sorted(unread), recursive)
    return sorted(found)


def _tell_of(unread: list[str], recursive: bool) -> None:
    more = f" and {len(unread) - _NAMED_MOST} more" if len(unread) > _NAMED_MOST else ""
    why = "a link to a directory is not followed" if recursive else "-R reads subdirectories, too"
    say(f"warning: not read: {', '.join(unread[:_NAMED_MOST])}{more}: {why}")


def _documents(source: str, text: str) -> Iterator[yaml.Node]:
    try:
        as_json = json_node(text)
        for node in yaml.compose_all(text, Loader=_Loader) if as_json is None else (as_json,):
            if node is not None and not (isinstance(node, yaml.ScalarNode) and node.tag == NULL):
                _check_tags(source, node)
                yield from _listed(node)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        hint = ": indent with spaces, YAML takes no tabs" if _is_tabbed(text, error.problem_mark) else ""
        raise Failure(f"{source}{line}: no valid YAML: {error.problem}{hint}", USAGE) from error
    except yaml.YAMLError as error:
        raise Failure(f"{source}: no valid YAML: {error}", USAGE) from error


def _check_tags(source: str, node: yaml.Node) -> None:
    """Raises Failure for a tag that would be ignored: what is behind `!!binary` is not what it says."""
    found = stray(node)
    if found is not None:
        line = found[0].start_mark.line + 1
        raise Failure(f"{source}:{line}: the tag {found[1]} is none that is read here: write the value itself", USAGE)


def _listed(node: yaml.Node) -> list[yaml.Node]:
    """The documents that one holds: those that `list` and `get` print together, else itself."""
    if isinstance(node, yaml.SequenceNode):
        return node.value if node.value and all(_has_kind(one) for one in node.value) else [node]
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    names = [key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode)]
    lists = [value for key, value in pairs if key.value in _LISTS]
    is_ours = lists and len(names) == len(pairs) and {*_LISTS, *_READ_AT}.issuperset(names)
    if not is_ours or not all(isinstance(one, yaml.SequenceNode) for one in lists):
        return [node]
    return [one for found in lists for one in found.value]


def _has_kind(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) and any(key.value == "kind" for key, _ in node.value)


def _is_tabbed(text: str, mark: yaml.Mark | None) -> bool:
    """Whether the line at the mark is indented with a tab."""
    lines = text.splitlines()
    if mark is None or mark.line >= len(lines):
        return False
    line = lines[mark.line]
    return "\t" in line[: len(line) - len(line.lstrip())]
