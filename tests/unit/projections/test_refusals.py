"""Every way in which a call is not admitted: with a status, a reason, the field at fault and what to do; never a value."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from journal.events import ImagePushed, PushedImage
from journal.specs import ImagePin, MicroVM, PortMapping, SealedEnv, VolumeMount
from projections.admission import Admitted, admit
from projections.intents import (
    Apply,
    Declared,
    DeclaredVolume,
    Delete,
    Intent,
    RemoveImage,
    Restart,
    Rollback,
    Start,
    Stop,
)
from projections.refusals import Refusal
from projections.state import Machine
from tests.support.story import ALL, PIN, Story, declared

SECRET = "hunter2"
ELSEWHERE = ImagePin("demo:2", "sha256:" + "8" * 64, "sha256:" + "9" * 64)


def given(name: str = "web", **fields: Any) -> Declared:
    made = declared(name)
    return replace(made, spec=replace(made.spec, **fields))


def refused(story: Story, *workloads: Declared, capabilities: frozenset[str] = ALL, **fields: Any) -> Refusal:
    verdict = admit(story.machine, Apply(workloads, **fields), capabilities)
    assert isinstance(verdict, Refusal), verdict
    return verdict


def port(container: int = 80, host: int = 8080, **fields: str) -> tuple[PortMapping, ...]:
    return (PortMapping(container, host, **fields),)


@pytest.mark.parametrize(
    ("one", "code", "reason", "field"),
    [
        (given("Web"), "INVALID_ARGUMENT", "BAD_NAME", "name"),
        (given("a" * 64), "INVALID_ARGUMENT", "BAD_NAME", "name"),
        (given(env=(SealedEnv("A=B", "x"),)), "INVALID_ARGUMENT", "BAD_ENV_NAME", "container.env"),
        (given(env=(SealedEnv("", "x"),)), "INVALID_ARGUMENT", "BAD_ENV_NAME", "container.env"),
        (given(working_dir="srv"), "INVALID_ARGUMENT", "BAD_PATH", "container.workingDir"),
        (given(network="host", ports=port(0)), "INVALID_ARGUMENT", "BAD_PORT", "container.ports"),
        (given(network="host", ports=port(80, 70_000)), "INVALID_ARGUMENT", "BAD_PORT", "container.ports"),
        (given(network="host", ports=port(80, 81)), "INVALID_ARGUMENT", "PORT_NOT_MAPPED", "container.ports.hostPort"),
        (given(network="bridge", ports=port(protocol="sctp")), "INVALID_ARGUMENT", "BAD_PROTOCOL", "container.ports.protocol"),
        (given(network="bridge", ports=port(host_address="here")), "INVALID_ARGUMENT", "BAD_ADDRESS", "container.ports.hostAddress"),
        (given(network="bridge", ports=port() * 2), "INVALID_ARGUMENT", "PORT_TWICE", "container.ports.hostPort"),
        (given(ports=port()), "INVALID_ARGUMENT", "PORTS_WITHOUT_NETWORK", "container.ports"),
        (given(mounts=(VolumeMount("data", "/data"),)), "FAILED_PRECONDITION", "VOLUME_NOT_FOUND", "container.mounts"),
        (replace(given(), resolved=None), "FAILED_PRECONDITION", "IMAGE_NOT_FOUND", "container.image"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_by_its_field(one: Declared, code: str, reason: str, field: str) -> None:
    verdict = refused(Story(), one)
    assert (verdict.code, verdict.reason, verdict.fields) == (code, reason, (field,))


def test_what_a_machines_drivers_lack_is_refused_by_name_and_says_what_there_is() -> None:
    verdict = refused(Story(), given(network="bridge"), capabilities=frozenset())
    assert (verdict.code, verdict.reason) == ("UNIMPLEMENTED", "NO_BRIDGE_DRIVER")
    assert "networkMode: HOST" in verdict.message
    in_vm = refused(Story(), declared("web", vm=MicroVM()), capabilities=frozenset({"network.bridge"}))
    assert (in_vm.code, in_vm.reason, in_vm.fields) == ("UNIMPLEMENTED", "NO_MICROVM_DRIVER", ("kind",))
    mounting = given(mounts=(VolumeMount("data", "/data"),))
    assert refused(Story(), mounting, capabilities=frozenset()).reason == "NO_VOLUME_DRIVER"
    assert isinstance(admit(Machine(), Apply((given(network="bridge"),)), frozenset({"network.bridge"})), Admitted)


def test_of_two_calls_in_one_batch_that_want_the_same_port_exactly_one_wins() -> None:
    """Whichever comes first, and also while neither is durable: admission decides on the head state."""
    wanting = [given("a", network="bridge", ports=port()), given("b", network="bridge", ports=port())]
    for first, second in (wanting, wanting[::-1]):
        story = Story()
        verdicts = [story.apply(first), story.apply(second)]
        assert isinstance(verdicts[0], Admitted)
        assert isinstance(verdicts[1], Refusal) and verdicts[1].reason == "PORT_TAKEN"
        assert first.name in verdicts[1].message and list(story.machine.workloads) == [first.name]


@pytest.mark.parametrize(
    ("other", "clashes"),
    [
        (port(81, 8080), True),
        (port(80, 8081), False),
        (port(protocol="udp"), False),
        (port(host_address="10.0.0.1"), True),
    ],
)
def test_a_port_is_taken_by_protocol_number_and_address(other: tuple[PortMapping, ...], clashes: bool) -> None:
    story = Story()
    story.apply(given("a", network="bridge", ports=port()))
    verdict = story.apply(given("b", network="bridge", ports=other))
    assert isinstance(verdict, Refusal) is clashes


def test_the_same_number_on_two_addresses_is_two_ports() -> None:
    story = Story()
    for name, address in (("a", "10.0.0.1"), ("b", "10.0.0.2")):
        assert isinstance(story.apply(given(name, network="bridge", ports=port(host_address=address))), Admitted)


def test_a_stopped_workload_keeps_its_port_and_a_deleted_one_gives_it_back() -> None:
    story = Story()
    story.apply(given("a", network="bridge", ports=port()))
    story.call(Stop("a"))
    b = given("b", network="bridge", ports=port())
    assert refused(story, b).reason == "PORT_TAKEN"
    story.call(Delete("a"))
    assert refused(story, b).reason == "PORT_TAKEN"
    story.converge()
    assert isinstance(story.apply(b), Admitted)


def test_a_batch_with_one_bad_item_is_refused_whole() -> None:
    story = Story()
    assert refused(story, given("good"), given("Bad")).reason == "BAD_NAME"
    assert not story.machine.workloads


def test_expect_seq_is_of_the_object_for_one_and_of_the_machine_for_a_batch() -> None:
    story = Story()
    story.apply(given("a"))
    story.apply(given("b"))
    for workloads, expect_seq, fits in (
        ((given("a", user="x"),), 1, True),
        ((given("a", user="x"),), 2, False),
        ((given("a", user="x"),), 0, False),
        ((given("new"),), 0, True),
        ((given("new"),), 2, False),
        ((given("a", user="x"), given("b", user="x")), 2, True),
        ((given("a", user="x"), given("b", user="x")), 1, False),
    ):
        verdict = admit(story.machine, Apply(workloads, expect_seq), ALL)
        assert isinstance(verdict, Admitted) is fits, (workloads, expect_seq)
        if isinstance(verdict, Refusal):
            assert (verdict.code, verdict.reason, verdict.fields) == ("ABORTED", "SEQUENCE_MISMATCH", ("expect_seq",))


def test_expect_seq_counts_volumes_too() -> None:
    story = Story()
    story.call(Apply((), volumes=(DeclaredVolume("data", 64 << 20),)))
    story.apply(given("a"))
    larger = (DeclaredVolume("data", 128 << 20),)
    for workloads, volumes, expect_seq, fits in (
        ((), larger, 1, True),
        ((), larger, 2, False),
        ((given("a", user="x"),), larger, 2, True),
        ((given("a", user="x"),), larger, 1, False),
    ):
        verdict = admit(story.machine, Apply(workloads, expect_seq, volumes=volumes), ALL)
        assert isinstance(verdict, Admitted) is fits, (workloads, volumes, expect_seq)


@pytest.mark.parametrize("kind", [Stop, Start, Restart, Delete])
def test_every_switch_can_be_guarded(kind: type[Stop | Start | Restart | Delete]) -> None:
    story = Story()
    story.apply(given("a"))
    story.apply(given("b"))
    verdict = admit(story.machine, kind("a", 2), ALL)
    assert isinstance(verdict, Refusal) and verdict.reason == "SEQUENCE_MISMATCH" and "1" in verdict.message
    assert isinstance(admit(story.machine, kind("a", 1), ALL), Admitted)


@pytest.mark.parametrize("kind", [Stop, Start, Restart])
def test_what_is_being_deleted_takes_no_other_word(kind: type[Stop | Start | Restart]) -> None:
    story = Story()
    story.apply(given())
    story.run_starts("web")
    story.call(Delete("web"))
    verdict = admit(story.machine, kind("web"), ALL)
    assert isinstance(verdict, Refusal) and (verdict.code, verdict.reason) == ("ABORTED", "DELETING")
    assert refused(story, given()).code == "ABORTED"
    assert story.call(Delete("web")) == Admitted(())
    story.converge()
    assert isinstance(story.apply(given()), Admitted)


def test_a_kind_is_for_life() -> None:
    story = Story()
    story.apply(given())
    verdict = refused(story, replace(given(), kind="microvm"), capabilities=frozenset({"microvm"}))
    assert (verdict.code, verdict.reason) == ("FAILED_PRECONDITION", "KIND_FIXED")


def test_a_pin_stays_with_its_string_and_moves_with_a_pull_or_another_string() -> None:
    moved = ImagePin(PIN.ref, "sha256:" + "8" * 64, "sha256:" + "9" * 64)
    story = Story()
    story.apply(given())
    story.apply(replace(given(user="x"), resolved=moved))
    assert story["web"].spec.image == PIN, "the same string means what it meant"
    other = ImagePin("docker.io/library/other:1", "sha256:" + "5" * 64, "sha256:" + "6" * 64)
    story.apply(replace(given(), image_ref=other.ref, resolved=other))
    assert story["web"].spec.image == other
    story.apply(replace(given(), resolved=moved))
    assert story["web"].spec.image == moved, "a string that comes back is resolved anew"
    assert refused(story, replace(given(), resolved=None), pull=True).reason == "IMAGE_NOT_FOUND"
    assert [one.image for one in story["web"].revisions] == [PIN, PIN, other, moved]


def test_no_refusal_repeats_a_value_that_may_be_a_secret() -> None:
    for one in (
        given(env=(SealedEnv(f"{SECRET}=", "x"),)),
        given(working_dir=SECRET),
        given(network="bridge", ports=port(protocol=SECRET)),
        given(SECRET.upper()),
    ):
        verdict = refused(Story(), one)
        assert SECRET not in " ".join(verdict.fields).lower()


# --- word for word -----------------------------------------------------------------------------------------------


def cached() -> Story:
    """Two workloads, both of one image in the cache, which has a name."""
    story = Story()
    story.tell(ImagePushed((PushedImage(PIN),)))
    story.apply(given(), given("api"))
    return story


def deleting() -> Story:
    story = cached()
    story.converge()
    story.call(Delete("web"))
    return story


def stopped() -> Story:
    story = cached()
    story.call(Stop("web"))
    return story


@pytest.mark.parametrize(
    ("story", "call", "refusal"),
    [
        (
            Story,
            Apply(()),
            Refusal(
                "INVALID_ARGUMENT",
                "EMPTY_APPLY",
                "nothing to apply: the call names no workload and no volume",
                ("workloads",),
            ),
        ),
        (
            Story,
            Apply((given("a"), given("b"), given("a", network="host"))),
            Refusal(
                "INVALID_ARGUMENT", "DUPLICATE_NAME", "a is declared more than once in this call", ("workloads.name",)
            ),
        ),
        (
            cached,
            Apply((given(user="x"), given("api", user="x")), expect_seq=1),
            Refusal(
                "ABORTED",
                "SEQUENCE_MISMATCH",
                "the machine was last changed at 2, not at 1: read it again, then repeat the call",
                ("expect_seq",),
            ),
        ),
        (
            cached,
            Rollback(Apply((given(),)), 1, gone=("web",)),
            Refusal(
                "INVALID_ARGUMENT", "DUPLICATE_NAME", "web is named more than once in this call", ("workloads.name",)
            ),
        ),
        (
            deleting,
            Apply((given(),)),
            Refusal("ABORTED", "DELETING", "web is being deleted: wait until it is gone, then apply again", ("name",)),
        ),
        (deleting, Stop("web"), Refusal("ABORTED", "DELETING", "web is being deleted", ("name",))),
        (
            cached,
            Apply((replace(given("new"), resolved=None, image_ref="demo:2"),)),
            Refusal(
                "FAILED_PRECONDITION",
                "IMAGE_NOT_FOUND",
                "image demo:2 is not on this machine: bring it with `capsulectl image push FILE`",
                ("container.image",),
            ),
        ),
        (
            cached,
            Apply((replace(given("new"), resolved=ELSEWHERE, cached=True),)),
            Refusal(
                "ABORTED",
                "IMAGE_LEAVING",
                "image demo:2 is being removed at this moment: apply again",
                ("container.image",),
            ),
        ),
        (
            stopped,
            Restart("web"),
            Refusal("FAILED_PRECONDITION", "STOPPED", "web is stopped: `capsulectl workload start web` starts it", ()),
        ),
        (
            cached,
            Apply((declared("web", vm=MicroVM()),)),
            Refusal(
                "FAILED_PRECONDITION",
                "KIND_FIXED",
                "web is a container: delete it before you change its kind",
                ("kind",),
            ),
        ),
        (
            cached,
            RemoveImage("demo:2"),
            Refusal(
                "NOT_FOUND",
                "IMAGE_NOT_FOUND",
                "image demo:2 is not in the image cache: `capsulectl image list` shows those there are",
                ("ref",),
            ),
        ),
        (
            cached,
            RemoveImage(PIN.ref),
            Refusal(
                "FAILED_PRECONDITION",
                "IMAGE_IN_USE",
                f"image {PIN.ref} is used by api, web: delete api and web, or apply them with another image, first",
                ("ref",),
            ),
        ),
    ],
)
def test_what_an_operator_is_told(story: Callable[[], Story], call: Intent, refusal: Refusal) -> None:
    assert story().call(call) == refusal


def test_an_image_that_one_workload_uses_is_told_with_that_one() -> None:
    story = Story()
    story.tell(ImagePushed((PushedImage(PIN),)))
    story.apply(given())
    verdict = story.call(RemoveImage(PIN.ref))
    assert (
        isinstance(verdict, Refusal) and "is used by web: delete web, or apply it with another image" in verdict.message
    )


def test_what_is_in_the_cache_as_it_was_when_it_was_looked_for_is_admitted() -> None:
    assert isinstance(Story().apply(replace(given(), cached=True)), Admitted)


def test_what_does_not_exist_is_deleted_whatever_was_read_of_it() -> None:
    assert Story().call(Delete("nobody", expect_seq=7)) == Admitted(())


def test_the_last_name_of_an_image_stays_while_it_is_used_under_a_former_one() -> None:
    story = Story()
    story.tell(ImagePushed((PushedImage(ELSEWHERE),)))
    story.apply(replace(given(), image_ref="former:1", resolved=replace(ELSEWHERE, ref="former:1")))
    verdict = story.call(RemoveImage("demo:2"))
    assert isinstance(verdict, Refusal) and verdict.reason == "IMAGE_IN_USE"
