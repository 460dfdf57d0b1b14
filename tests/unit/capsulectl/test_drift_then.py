"""Drift of the past is as old as it was then, and only of what was asked for."""

from typing import Literal

import pytest

from capsule.v1 import drift_pb2, history_pb2, image_pb2, volume_pb2, workload_pb2
from capsulectl import drift
from capsulectl.errors import USAGE, Failure

SECOND = 1_000_000_000
THEN = 1_700_000_000 * SECOND
PAST = history_pb2.AsOfResponse(
    seq=5,
    at_unix_ns=THEN,
    workloads=[workload_pb2.Workload(name="web")],
    volumes=[volume_pb2.Volume(name="data")],
    images=[image_pb2.Image(name="docker.io/library/demo:1")],
    differences=[
        drift_pb2.Difference(
            object="workload/web", aspect="run", label="effect-failed", what="StartRun failed", seq=4,
            since_unix_ns=THEN - 7_200 * SECOND, then="it is tried again", next_at_unix_ns=THEN + 30 * SECOND,
        ),
        drift_pb2.Difference(object="network", aspect="rules", label="foreign", what="gone", seq=3),
    ],
)  # fmt: skip


@pytest.fixture(autouse=True)
def then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "Connection", lambda capsule: None)
    monkeypatch.setattr(drift, "as_of", lambda connection, at, quiet, *only: PAST)


def test_times_count_from_that_moment(capsys: pytest.CaptureFixture[str]) -> None:
    assert drift.drift(("web",), at="5") == 1
    (line,) = capsys.readouterr().out.splitlines()[1:]
    assert " ".join(line.split()) == "workload/web effect-failed 2h 4 StartRun failed it is tried again in 30 s"


def test_names_and_labels_choose_as_they_do_now(capsys: pytest.CaptureFixture[str]) -> None:
    asked: tuple[tuple[tuple[str, ...], tuple[Literal["foreign"], ...], list[str]], ...] = (
        ((), (), ["workload/web", "network"]),
        (("network",), (), ["network"]),
        ((), ("foreign",), ["network"]),
        (("web",), ("foreign",), []),
        (("volume/data", "docker.io/library/demo:1"), (), []),
    )
    for names, labels, found in asked:
        assert drift.drift(names, label=labels, output="name", at="5") == bool(found)
        assert capsys.readouterr().out.split() == found
    for name in ("nobody", "shelf/web", ""):
        with pytest.raises(Failure, match="nothing was called") as refused:
            drift.drift((name,), at="5")
        assert refused.value.code == USAGE
    with pytest.raises(Failure, match="use one of them"):
        drift.drift(watch=True, at="5")
