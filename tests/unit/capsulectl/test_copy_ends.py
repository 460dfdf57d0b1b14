"""The two ends of a copy, as they are typed."""

import os
import re

import pytest

from capsulectl.cp import cp
from capsulectl.errors import USAGE, Failure

ODD = os.fsdecode(b"web:/tmp/\xff")


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (("here", ODD), "web:/tmp/? is not UTF-8, as the path of a call is: copy the directory that it is in"),
        ((ODD, "here"), "web:/tmp/? is not UTF-8, as the path of a call is: copy the directory that it is in"),
        (("here", "web:"), "web: is not NAME:PATH (a file of that name here is ./web:)"),
        (("here", "there"), "neither here nor there is in a workload: write NAME:PATH"),
    ],
)
def test_what_cannot_be_an_end_is_told_before_anybody_is_asked(ends: tuple[str, str], words: str) -> None:
    with pytest.raises(Failure, match=f"^{re.escape(words)}$") as caught:
        cp(*ends)
    assert caught.value.code == USAGE
