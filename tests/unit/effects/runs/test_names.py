"""How things are called in containerd: whatever a workload's name is, the incarnation makes it unique and findable."""

from hypothesis import given, settings
from hypothesis import strategies as st

from effects.runs.names import NAME, container_id, is_ours, labels_of, snapshot_key
from effects.runs.protocol import RunSpec

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
IDENTIFIER = 76


@settings(max_examples=100)
@given(NAMES, st.integers(1, 2**63), st.integers(1, 2**31))
def test_every_run_has_a_name_that_containerd_takes(name: str, uid: int, run: int) -> None:
    for made in (container_id(name, uid, run), snapshot_key(name, uid, uid)):
        assert len(made) <= IDENTIFIER and not made.startswith("-") and "-." not in made


@settings(max_examples=50)
@given(NAMES, NAMES, st.integers(1, 99), st.integers(1, 99))
def test_two_incarnations_never_share_a_name(one: str, other: str, uid: int, run: int) -> None:
    assert container_id(one, uid, run) != container_id(other, uid + 1, run)
    assert container_id(one, uid, run) != container_id(one, uid, run + 1)


def test_a_run_is_found_again_by_its_labels_alone() -> None:
    labels = labels_of(RunSpec("web", 7, 9, 3, "sha256:00"))
    assert is_ours(labels) and labels[NAME] == "web"
    for missing in labels:
        assert not is_ours({key: value for key, value in labels.items() if key != missing}), missing
    assert not is_ours({**labels, "capsule.uid": "seven"}) and not is_ours({})
