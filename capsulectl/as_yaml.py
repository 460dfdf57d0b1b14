"""Data as YAML that a person reads and edits: a text of several lines stands there in lines."""

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _style(text: str) -> str | None:
    """PyYAML's own choice for one line. What has control characters, or line ends of Unicode's, is quoted: PyYAML would
    write it in a way that it reads as something else."""
    if text.isprintable():
        return None
    return "|" if text.replace("\n", "").replace("\t", "").isprintable() else '"'


_Dumper.add_representer(str, _text)


def document(data: Any) -> str:
    """One document, its keys in the order that they have."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text
