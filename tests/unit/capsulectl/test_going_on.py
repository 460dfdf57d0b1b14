"""What goes on, as YAML: a stream of documents that can be told apart."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from capsule.v1 import drift_pb2, stats_pb2
from capsule.v1 import workload_pb2 as pb
from capsulectl import drift, stats, workload_list


class Sampled:
    """A connection on which two samples come."""

    class stats:
        Watch = None

    def stream(self, call: object, request: object) -> list[Any]:
        return [stats_pb2.StatsSample(at_unix_ns=at) for at in (1, 2)]


def _changed() -> None:
    for removed in (False, True):
        workload_list._print_change(pb.Workload(name="web"), removed, "yaml", [])


def _differed() -> None:
    for resolved in (False, True):
        item = drift_pb2.DriftWatchItem(resolved=resolved, difference=drift_pb2.Difference(object="web"))
        drift._print(item, "yaml", [])


def _sampled() -> None:
    stats._go_on(Sampled(), (), 2.0, "yaml", "name")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("go_on", "told"),
    [(_changed, ("removed", False, True)), (_differed, ("resolved", False, True)), (_sampled, ("atUnixNs", 1, 2))],
)
def test_each_document_of_what_goes_on_begins_with_dashes(
    go_on: Callable[[], None], told: tuple[str, Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    go_on()
    said = capsys.readouterr().out
    name, first, second = told
    assert [one[name] for one in yaml.safe_load_all(said)] == [first, second]
    assert said.startswith("---\n") and said.count("---\n") == 2
