"""What `apply` prints of its answer."""

import pytest

from capsule.v1 import machine_pb2
from capsule.v1 import workload_pb2 as pb
from capsulectl import applying
from capsulectl.apply_line import ApplyLine

ANSWER = machine_pb2.ApplyAllResponse(
    volumes=[machine_pb2.AppliedVolume(name="data", outcome="created")],
    items=[machine_pb2.AppliedItem(workload=pb.Workload(name="web"), outcome="configured")],
)


@pytest.mark.parametrize("dry_run", [False, True])
def test_names_are_printed_alone_also_of_what_would_be_done(dry_run: bool, capsys: pytest.CaptureFixture[str]) -> None:
    applying._print(ANSWER, ApplyLine((), dry_run=dry_run, output="name"))
    assert capsys.readouterr().out == "volume/data\nweb\n", "as other verbs take them: a name alone is a workload's"


def test_a_dry_run_says_that_it_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    applying._print(ANSWER, ApplyLine((), dry_run=True))
    said = capsys.readouterr().out
    assert said == "volume/data created (dry run)\nworkload/web configured (dry run)\nnothing to do\n"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("uid", "uid: 7 -> 12 (another one under this name)"),
        ("labels.uid", "labels.uid: 7 -> 12"),
        ("version", "version: 7 -> 12"),
    ],
)
def test_what_is_another_by_the_same_name_is_said_in_words(path: str, says: str) -> None:
    change = machine_pb2.FieldChange(name="volume/web", op="change", path=path, old="7", new="12")
    assert applying.change_line(change).endswith(f"~ {says}")
