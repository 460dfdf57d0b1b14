"""What is different between two states, and a state as clients see it."""

import json

from capsuled.wire_past import changes, has, machine_message, no_part
from journal.events import (
    BootStarted,
    ImagePushed,
    OperatorEnrolled,
    OperatorRemoved,
    OperatorRoleChanged,
    PushedImage,
    RegistryConfigured,
    SnapshotRequested,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateHealthChanged,
    UpdateKeyEnrolled,
    UpdateStaged,
    VolumeApplied,
    VolumeMade,
)
from projections.intents import Apply, DeclaredVolume, Delete, DeleteVolume, RemoveSecret, Rollback
from projections.state import Machine
from tests.support.story import OTHER_PIN, PIN, Story, declared
from tests.unit.projections.secret_story import create, rotate, using


def told(before: Machine, after: Machine, name: str = "") -> list[tuple[str, str, str, str, str]]:
    return [(one.name, one.op, one.path, one.old, one.new) for one in changes(before, after, name)]


def test_nothing_is_different_from_itself() -> None:
    story = Story()
    story.apply(declared("web"))
    assert told(story.machine, story.machine.fork()) == []


def test_a_name_is_that_of_something_then_or_of_nothing() -> None:
    story = Story()
    story.apply(declared("web"))
    story.tell(VolumeApplied("data", 16 << 20, created=True))
    for name in ("web", "volume/data", "data"):
        assert has(story.machine, name)
        assert not has(Machine(), name)
    for name in ("nobody", "volume/web", "shelf/data"):
        assert not has(story.machine, name)


def test_a_workload_comes_changes_and_goes() -> None:
    story = Story()
    blank = story.machine.fork()
    story.apply(declared("web", "one"), declared("db"))
    first = story.machine.fork()
    story.run_starts("web")
    story.apply(declared("web", "two"))
    changed = story.machine.fork()
    came = told(blank, first, "web")
    assert {op for _, op, *_ in came} == {"add"} and ("web", "add", "status.phase", "", '"pending"') in came
    assert told(first, changed) == [
        ("web", "change", "container.args", '["one"]', '["two"]'),
        ("web", "change", "status.phase", '"pending"', '"replacing"'),
    ]
    story.call(Delete("web"))
    story.converge()
    went = told(changed, story.machine, "web")
    assert {op for _, op, *_ in went} == {"remove"}
    assert told(changed, blank, "web") == went  # what is not there has one look only


def test_volumes_images_and_keys_are_compared_too() -> None:
    story = Story()
    before = story.machine.fork()
    story.tell(
        VolumeApplied("data", 1 << 20, created=True),
        VolumeMade("data", 1, 1 << 20),
        ImagePushed((PushedImage(PIN, 5),)),
        OperatorEnrolled("kid-1", "00", "ada", "admin"),
        OperatorEnrolled("kid-2", "01", "bob", "reader"),
    )
    after = story.machine.fork()
    assert told(before, after) == [
        ("volume/data", "add", "size", "", str(1 << 20)),
        ("volume/data", "add", "status.phase", "", '"ready"'),
        (f"image/{PIN.ref}", "add", "digest", "", json.dumps(PIN.platform_digest)),
        ("key/ada", "add", "role", "", '"admin"'),
        ("key/bob", "add", "role", "", '"reader"'),
    ]
    story.tell(
        SnapshotRequested("data", 1, "before"),
        ImagePushed((PushedImage(OTHER_PIN, 5),)),
        OperatorRoleChanged("kid-2", "operator"),
        OperatorRemoved("kid-1"),
    )
    assert told(after, story.machine) == [
        ("volume/data", "add", "snapshots", "", '["before"]'),
        (
            f"image/{PIN.ref}",
            "change",
            "digest",
            json.dumps(PIN.platform_digest),
            json.dumps(OTHER_PIN.platform_digest),
        ),
        ("key/ada", "remove", "role", '"admin"', ""),
        ("key/bob", "change", "role", '"reader"', '"operator"'),
    ]
    assert {name for name, *_ in told(after, story.machine, "data")} == {"volume/data"}
    assert {name for name, *_ in told(after, story.machine, "key/bob")} == {"key/bob"}


def test_a_whole_state_is_told_in_order() -> None:
    story = Story()
    story.apply(declared("web"), declared("db"))
    story.tell(VolumeApplied("data", 1 << 20, created=True), SnapshotRequested("data", 2, "before"))
    message = machine_message(story.machine)
    assert [one.name for one in message.workloads] == ["db", "web"]
    assert [one.name for one in message.volumes] == ["data"] and [one.name for one in message.snapshots] == ["before"]
    assert message.seq == story.machine.seq and message.desired_seq == story.machine.desired_seq


def test_secrets_logins_and_signing_keys_are_compared_and_no_value_of_theirs() -> None:
    story = Story()
    story.call(create("db", "sealed-1"))
    story.tell(RegistryConfigured("known.lan", "ada", "sealed-2"))
    before = story.machine.fork()
    story.call(rotate("sealed-3", "db"))
    story.tell(
        RegistryConfigured("known.lan", "ada", "sealed-4"),
        RegistryConfigured("registry.lan", "bob", "sealed-5", ca="sealed-6"),
        UpdateKeyEnrolled("kid-9", "0a0b", "builder"),
    )
    found = told(before, story.machine)
    entries = [str(machine.registries["known.lan"].seq) for machine in (before, story.machine)]
    assert found == [
        ("secret/db", "change", "version", "1", "2"),
        ("registry/known.lan", "change", "entry", *entries),
        ("registry/registry.lan", "add", "user", "", '"bob"'),
        ("registry/registry.lan", "add", "tls", "", '"own CA"'),
        ("update-key/builder", "add", "kid", "", '"kid-9"'),
    ]
    assert "sealed" not in str(found) and "0a0b" not in str(found)
    for name in ("secret/db", "registry/registry.lan", "registry.lan", "update-key/builder"):
        assert has(story.machine, name) and not has(Machine(), name), name
    assert {name for name, *_ in told(before, story.machine, "registry.lan")} == {"registry/registry.lan"}


def test_a_secret_that_is_another_by_the_same_name_is_told_of() -> None:
    story = Story()
    story.call(create("db", "sealed-1"))
    before, uid = story.machine.fork(), story.machine.secrets["db"].uid
    story.call(RemoveSecret("db"))
    story.call(create("db", "sealed-2"))
    again = story.machine.secrets["db"].uid
    assert told(before, story.machine) == [("secret/db", "change", "uid", str(uid), str(again))]


def test_what_was_deleted_and_made_again_looks_the_same_and_is_another() -> None:
    story = Story()

    def made(*args: str, size_bytes: int = 1 << 30) -> None:
        story.apply(declared("web", *args), volumes=(DeclaredVolume("web", size_bytes),))
        story.converge()

    def deleted() -> None:
        story.call(Delete("web"))
        story.call(DeleteVolume("web"))
        story.converge()

    def uids() -> list[tuple[str, str, str, str, str]]:
        machines = before, story.machine
        was, now = ([str(one.workloads["web"].uid), str(one.volumes["web"].uid)] for one in machines)
        return [("web", "change", "uid", was[0], now[0]), ("volume/web", "change", "uid", was[1], now[1])]

    made("one")
    before = story.machine.fork()
    deleted()
    made("one")
    assert told(before, story.machine) == uids()
    assert told(before, story.machine, "volume/web") == uids()[1:]
    deleted()
    made("two", size_bytes=2 << 30)
    (web, *more), (volume, size) = told(before, story.machine, "web")[:2], told(before, story.machine, "volume/web")
    assert [web, volume] == uids(), "first that it is another, then how it differs"
    assert [one[2] for one in (*more, size)] == ["container.args", "size"]


def test_slots_and_updates_are_compared_and_what_was_only_forgotten_is_not() -> None:
    story = Story()
    blank = story.machine.fork()
    story.tell(BootStarted("slot_a", "slot_a", "0.1.0 abc"))
    first = story.machine.fork()
    assert told(blank, first) == [
        ("system/slots", "add", "active", "", '"slot_a"'),
        ("system/slots", "add", "default", "", '"slot_a"'),
        ("system/slots", "add", "release", "", '"0.1.0 abc"'),
    ]
    story.tell(UpdateBegun("slot_b", "0.2.0", "def", 1, "slot_a", "0.1.0", "abc"))
    uid = story.machine.seq
    assert has(story.machine, f"update/{uid}") and has(story.machine, "system/slots") and not has(blank, "slots")
    begun = {(path, new) for name, op, path, _, new in told(first, story.machine) if name == f"update/{uid}"}
    assert {("version", '"0.2.0"'), ("phase", '"staging"')} <= begun
    assert {op for _, op, *_ in told(story.machine, first)} == {"remove"}
    later = story.machine.fork()
    later.updates.clear()
    assert told(story.machine, later) == [] == told(later, story.machine)


def test_a_rollback_changes_workloads_alone() -> None:
    story = Story()
    story.call(create("db", "sealed-1"))
    story.tell(BootStarted("slot_a", "slot_a", "0.1.0 abc"), RegistryConfigured("known.lan", "ada", "sealed-2"))
    story.apply(declared("web", "one"))
    to_seq = story.machine.seq
    story.call(rotate("sealed-3", "db"))
    story.apply(declared("web", "two"))
    before = story.machine.fork()
    story.call(Rollback(Apply((declared("web", "one"),)), to_seq))
    assert {name for name, *_ in told(before, story.machine)} == {"web"}


def test_what_else_was_kept_stands_in_the_answer() -> None:
    story = Story()
    story.call(create("db", "sealed-1"))
    story.apply(using("web", env="db"))
    story.tell(
        RegistryConfigured("known.lan", "ada", "sealed-2"),
        UpdateKeyEnrolled("kid-9", "0a0b", "builder"),
        BootStarted("slot_a", "slot_a", "0.1.0 abc"),
        UpdateBegun("slot_b", "0.2.0", "def", 1, "slot_a", "0.1.0", "abc"),
    )
    message = machine_message(story.machine)
    (secret,), (registry,), (key,) = message.secrets, message.registries, message.update_keys
    assert (secret.name, secret.version, list(secret.used_by)) == ("db", 1, ["web"])
    assert (registry.host, registry.username, key.name) == ("known.lan", "ada", "builder")
    status = message.update_status
    assert (status.active_slot, status.version, status.commit) == ("slot_a", "0.1.0", "abc")
    assert status.current.uid == message.updates[0].uid == story.machine.seq
    assert [(one.object, one.label) for one in message.differences] == [("workload/web", "intended")]
    assert b"sealed-" not in message.SerializeToString()
    assert not machine_message(Machine()).HasField("update_status")


def test_an_answer_has_only_what_was_asked_for() -> None:
    story = Story()
    story.call(create("db", "sealed-1"))
    story.apply(declared("web"))
    message = machine_message(story.machine, ("secrets",))
    assert [one.name for one in message.secrets] == ["db"] and not message.workloads and not message.differences
    assert message.seq == story.machine.seq
    assert (no_part(["secrets", "update_status"]), no_part(["secrets", "shelves"])) == ("", "shelves")


def test_a_trial_of_the_past_has_the_time_left_that_it_had_then() -> None:
    story = Story()
    story.tell(BootStarted("slot_a", "slot_a", "0.1.0 abc"))
    story.tell(UpdateBegun("slot_b", "0.2.0", "def", 1, "slot_a", "0.1.0", "abc"))
    uid = story.machine.seq
    story.tell(UpdateStaged(uid, "", "", 1, 1), UpdateArming(uid), UpdateArmed(uid))
    story.reboot("boot-2")
    ends = story.machine.mono_ns + 900_000_000_000
    story.tell(BootStarted("slot_b", "slot_a", "0.2.0 def", tentative=True, uid=uid, deadline_mono_ns=ends))
    story.pass_time(100)
    story.tell(UpdateHealthChanged(uid))
    status = machine_message(story.machine).update_status
    assert status.tentative and status.version == "0.2.0" and 790 <= status.seconds_left <= 800


def test_an_image_is_told_with_who_used_it_then() -> None:
    story = Story()
    story.tell(ImagePushed((PushedImage(PIN, 5), PushedImage(OTHER_PIN, 5))))
    story.apply(declared("web"))
    found = {one.name: list(one.used_by) for one in machine_message(story.machine, ("images",)).images}
    assert found == {PIN.ref: ["web"], OTHER_PIN.ref: []}
