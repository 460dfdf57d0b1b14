"""Who may come in: the claim window, keys, roles, and that somebody always can."""

import msgspec
import pytest

from journal import specs
from journal.events import (
    DaemonStarted,
    JournalRestored,
    OperatorEnrolled,
    OperatorRemoved,
    OperatorRoleChanged,
    OperatorsReset,
)
from journal.specs import ContainerSpec, HostBind, ImagePin, MicroVM
from projections.admission import Admitted
from projections.enrolment import KEYS_MAX
from projections.intents import AddKey, Adopt, Apply, ChangeRole, RemoveKey, Restart
from projections.operators import CLAIM_NS
from projections.refusals import Refusal
from projections.rights import FIELDS, permit, permit_inside, root_fields
from projections.update_intents import BeginUpdate, System
from tests.support.story import PIN, SECOND, Story, declared

KEY = "ab" * 32
ABSENT = ImagePin("evil.example/slow:1", "sha256:" + "8" * 64, "sha256:" + "9" * 64)


def started() -> Story:
    story = Story()
    story.tell(DaemonStarted(mode="hosted", previous="first"))
    return story


def adopt(story: Story, kid: str = "k1", key: str = KEY, name: str = "anna") -> Admitted | Refusal:
    return story.call(Adopt(kid, key, name, story.boot, story.mono))


def add(story: Story, kid: str, role: str = "admin") -> Admitted | Refusal:
    return story.call(AddKey(kid, KEY, kid, role))  # type: ignore[arg-type]


def reason(verdict: Admitted | Refusal | None) -> str:
    assert isinstance(verdict, Refusal), verdict
    return verdict.reason


def test_the_first_key_is_an_admins() -> None:
    story = started()
    assert adopt(story) == Admitted((OperatorEnrolled("k1", KEY, "anna", "admin", "adopted"),))
    assert story.machine.operators["k1"].role == "admin"


def test_adopting_an_enrolled_key_succeeds_at_any_time_and_says_nothing() -> None:
    story = started()
    adopt(story)
    story.pass_time(10_000)
    assert adopt(story) == Admitted(())


def test_a_second_key_finds_the_window_closed_in_the_words_that_clients_know() -> None:
    story = started()
    adopt(story)
    verdict = adopt(story, "k2")
    assert isinstance(verdict, Refusal)
    assert verdict.code == "FAILED_PRECONDITION" and "adoption window closed" in verdict.message


def test_the_window_closes_30_minutes_after_the_boot_and_no_restart_of_the_daemon_opens_it() -> None:
    story = started()
    story.pass_time(CLAIM_NS / SECOND)
    story.tell(DaemonStarted(mode="hosted", previous="crash"))
    assert reason(adopt(story)) == "ADOPTION_CLOSED"
    story.mono -= 1
    assert isinstance(adopt(story), Admitted)


def test_a_new_boot_opens_the_window_of_a_machine_without_a_key() -> None:
    story = started()
    story.pass_time(10_000)
    assert reason(adopt(story)) == "ADOPTION_CLOSED"
    story.reboot("boot-2")
    assert isinstance(adopt(story), Admitted)


def test_before_a_daemon_has_started_in_this_boot_nobody_adopts() -> None:
    story = started()
    assert reason(story.call(Adopt("k1", KEY, "", "boot-2", 1))) == "ADOPTION_CLOSED"


@pytest.mark.parametrize(
    ("key", "name", "expected"),
    [("ab" * 31, "", "BAD_KEY"), (KEY, "a\nb", "BAD_NAME"), (KEY, "x" * 129, "BAD_NAME")]
    + [(KEY, name, "BAD_NAME") for name in ("local", "system", "effect ", "installer", "operator", "local(root)")],
)
def test_a_key_that_is_none_is_refused(key: str, name: str, expected: str) -> None:
    assert reason(adopt(started(), key=key, name=name)) == expected


def test_a_key_is_added_once_with_a_role() -> None:
    story = started()
    adopt(story)
    assert isinstance(add(story, "k2", "reader"), Admitted)
    assert story.machine.operators["k2"].role == "reader"
    assert reason(add(story, "k2")) == "KEY_ENROLLED"


def test_the_first_key_that_is_added_on_the_machine_must_be_an_admins() -> None:
    first = add(started(), "k1", "operator")
    assert reason(first) == "NO_ADMIN" and isinstance(first, Refusal) and "say `--role admin`" in first.message
    assert isinstance(add(started(), "k1", "admin"), Admitted)


def test_keys_are_bounded() -> None:
    story = started()
    for number in range(KEYS_MAX):
        assert isinstance(add(story, f"k{number}"), Admitted)
    assert reason(add(story, "more")) == "TOO_MANY_KEYS"


def test_the_last_admin_can_be_neither_removed_nor_demoted() -> None:
    story = started()
    adopt(story)
    add(story, "k2", "operator")
    assert reason(story.call(RemoveKey("k1"))) == "LAST_ADMIN"
    assert reason(story.call(ChangeRole("k1", "reader"))) == "LAST_ADMIN"
    assert story.call(ChangeRole("k2", "admin")) == Admitted((OperatorRoleChanged("k2", "admin"),))
    assert story.call(RemoveKey("k1")) == Admitted((OperatorRemoved("k1"),))
    assert list(story.machine.operators) == ["k2"]


def test_what_is_not_enrolled_cannot_be_removed_or_changed() -> None:
    assert reason(started().call(RemoveKey("no"))) == "KEY_NOT_FOUND"
    assert reason(started().call(ChangeRole("no", "admin"))) == "KEY_NOT_FOUND"


def test_the_same_role_again_is_no_event() -> None:
    story = started()
    adopt(story)
    assert story.call(ChangeRole("k1", "admin")) == Admitted(())


def test_a_reset_takes_every_key_off_and_the_window_counts() -> None:
    story = started()
    adopt(story)
    story.tell(OperatorsReset("RESET_AUTH"))
    assert not story.machine.operators
    assert isinstance(adopt(story), Admitted)
    story.tell(OperatorsReset("RESET_AUTH"))
    story.pass_time(10_000)
    assert reason(adopt(story)) == "ADOPTION_CLOSED"


def taken_over(apart: bool) -> Story:
    """A machine whose memory is another's, who had no key: in its first life with it, in another boot."""
    story = started()
    story.boot, story.mono = "boot-2", SECOND
    story.tell(JournalRestored(story.machine.seq, "ab", apart=apart), DaemonStarted(mode="hosted", previous="restored"))
    return story


def test_a_machine_that_took_over_anothers_memory_is_nobodys_to_claim_before_it_boots_again() -> None:
    story = taken_over(apart=True)
    verdict = adopt(story)
    assert reason(verdict) == "ADOPTION_CLOSED"
    assert isinstance(verdict, Refusal) and "not in the boot in which it took over a memory" in verdict.message
    story.tell(DaemonStarted(mode="hosted", previous="crash"))
    assert reason(adopt(story)) == "ADOPTION_CLOSED"
    assert isinstance(add(story, "k1"), Admitted), "on the machine itself"
    story = taken_over(apart=True)
    story.reboot("boot-3")
    assert isinstance(adopt(story), Admitted)


def test_what_an_earlier_release_told_of_a_restore_means_what_it_meant() -> None:
    assert isinstance(adopt(taken_over(apart=False)), Admitted)


def test_every_field_of_every_spec_has_a_role() -> None:
    specced = {
        name: kind
        for name, kind in vars(specs).items()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and (name.endswith("Spec") or kind is MicroVM)
    }
    assert {name: set(kind.__struct_fields__) for name, kind in specced.items()} == {
        name: set(fields) for name, fields in FIELDS.items()
    }, "say in projections/rights.py who may set the field: is it root on the machine by another name?"


WRITTEN = {"host_pid": "hostPid", "host_mount": "hostMount", "host_ipc": "hostIpc", "host_bind_paths": "hostBindPaths",
           "host_binds": "hostBinds", "network": "networkMode", "cap_add": "capAdd", "kernel_path": "kernelPath",
           "rootfs_path": "rootfsPath"}  # fmt: skip
"""As a manifest has them."""

ROOT = {
    "privileged": ContainerSpec(PIN, privileged=True),
    "host_pid": ContainerSpec(PIN, host_pid=True),
    "host_mount": ContainerSpec(PIN, host_mount=True),
    "host_ipc": ContainerSpec(PIN, host_ipc=True),
    "host_bind_paths": ContainerSpec(PIN, host_bind_paths=("/",)),
    "network": ContainerSpec(PIN, network="host"),
    "host_binds": ContainerSpec(PIN, host_binds=(HostBind("/", "/machine"),)),
    "cap_add": ContainerSpec(PIN, cap_add=("SYS_ADMIN",)),
    "seccomp": ContainerSpec(PIN, seccomp="unconfined"),
    "kernel_path": ContainerSpec(PIN, vm=MicroVM(kernel_path="/srv/vmlinuz")),
    "rootfs_path": ContainerSpec(PIN, vm=MicroVM(rootfs_path="/srv/root.img")),
}


@pytest.mark.parametrize("field", ROOT)
def test_only_an_admin_declares_what_is_root_by_another_name(field: str) -> None:
    assert root_fields(ROOT[field]) == (field,)
    intent = Apply((msgspec.structs.replace(declared("web"), spec=ROOT[field]),))
    assert permit("admin", intent) is None
    for role in ("operator", "reader", ""):
        verdict = permit(role, intent)
        assert verdict is not None and verdict.code == "PERMISSION_DENIED"
        assert verdict.message.startswith("web "), "by that the command line finds its place among many"
        section = "container" if ROOT[field].vm is None else "microVm"
        assert verdict.fields == (f"{section}.{WRITTEN.get(field, field)}",)
    assert permit("operator", Apply((declared("web"),))) is None


def test_a_key_that_anybody_can_sign_for_is_not_enrolled() -> None:
    story = Story()
    assert reason(adopt(story, key="00" * 32)) == "BAD_KEY"
    assert reason(story.call(AddKey("k1", "01" + "00" * 31, "", "admin"))) == "BAD_KEY"
    assert story.machine.operators == {}


def test_a_system_that_no_enrolled_key_signed_is_an_admins_to_install() -> None:
    unsigned = BeginUpdate(System("2", "b", 20), System("1", "a", 10), 1, "", (), (), (), 900)
    signed = msgspec.structs.replace(unsigned, signed_by="builder")
    assert permit("admin", unsigned) is None and permit("operator", signed) is None
    denied = permit("operator", unsigned)
    assert denied is not None and (denied.code, denied.reason) == ("PERMISSION_DENIED", "UNSIGNED")
    assert "ask an admin to push it" in denied.message and "capsulectl update key add" in denied.message


def test_an_operator_takes_capabilities_away_and_gives_the_usual_ones_back() -> None:
    assert root_fields(ContainerSpec(PIN, cap_drop=("ALL",), cap_add=("CHOWN", "NET_BIND_SERVICE"))) == ()


def test_only_an_admin_reaches_into_a_workload_that_is_root_by_another_name() -> None:
    story = started()
    story.apply(declared("plain"), declared("host", network="host"))
    assert permit_inside("operator", story.machine, "plain") is None
    assert permit_inside("operator", story.machine, "nobody") is None
    assert permit_inside("admin", story.machine, "host") is None
    verdict = permit_inside("operator", story.machine, "host")
    assert verdict is not None and verdict.reason == "ROLE_LACKS"


def test_what_still_runs_as_root_is_an_admins_however_the_workload_is_declared_by_now() -> None:
    story = started()
    root = msgspec.structs.replace(declared("web"), spec=ContainerSpec(PIN, privileged=True))
    story.apply(root)
    story.converge()
    for turn in ("plain", "plainer"):
        # The image is nowhere to be had yet, so the old run goes on.
        absent = msgspec.structs.replace(ABSENT, ref=f"evil.example/{turn}:1")
        story.apply(msgspec.structs.replace(declared("web", pin=absent), image_ref=absent.ref))
        assert story.next_goal("web") == "EnsureImage"
        verdict = permit_inside("operator", story.machine, "web")
        assert verdict is not None and verdict.fields == ("container.privileged",) and "still runs" in verdict.message
        assert permit_inside("admin", story.machine, "web") is None
    story.converge()
    run = story["web"].run
    assert run is not None and run.number == 2 and permit_inside("operator", story.machine, "web") is None
    story.apply(root)
    assert permit_inside("operator", story.machine, "web") is not None


def test_a_run_keeps_the_spec_it_was_started_from_only_once_the_workload_has_another() -> None:
    story = started()
    story.apply(declared("web", "old"))
    story.converge()
    story.call(Restart("web"))
    run = story["web"].run
    assert run is not None and run.spec is None
    story.apply(declared("web", "new"))
    run = story["web"].run
    assert run is not None and run.spec is not None and run.spec.args == ("old",)
    story.converge()
    run = story["web"].run
    assert run is not None and run.spec is None and story["web"].spec.args == ("new",)
