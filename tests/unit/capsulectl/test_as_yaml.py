"""YAML for people: several lines stay lines, and whatever is written is read as the same."""

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from capsulectl.as_yaml import document

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_a_script_stands_there_in_lines() -> None:
    said = document({"args": ["trap 'exit 0' TERM\nsleep 1\n"], "name": "web"})
    assert said == "args:\n- |\n  trap 'exit 0' TERM\n  sleep 1\nname: web\n"


@given(PLAIN)
def test_whatever_is_written_is_read_as_the_same(data: Any) -> None:
    assert yaml.safe_load(document(data)) == data
