"""What a blank machine would lack of an archive's: told from the state in it."""

from msgspec.structs import replace

from capsulectl.inventory import Lack, lacks, needed_images
from journal.specs import ImagePin, MicroVM, SealedEnv
from projections.intents import CreateSecret, CreateVolume, Declared, Delete
from tests.support.story import PIN, Story, declared

NOTHING = ImagePin("", "", "")


def own_kernel() -> Declared:
    made = declared("appliance", vm=MicroVM(kernel_path="/srv/vmlinuz", rootfs_path="/srv/root.img"))
    return replace(made, spec=replace(made.spec, image=NOTHING), image_ref="", resolved=NOTHING)


def with_a_variable() -> Declared:
    made = declared("web")
    return replace(made, spec=replace(made.spec, env=(SealedEnv("TOKEN", "x"),)))


def remembered() -> Story:
    story = Story()
    for call in (CreateSecret("key", "sealed", 6, text=True), CreateVolume("data", 64 << 20)):
        story.call(call)
    story.apply(with_a_variable(), own_kernel())
    return story


def test_images_are_those_of_workloads_that_are_made_from_one() -> None:
    story = remembered()
    assert needed_images(story.machine) == {PIN.index_digest: PIN.ref}
    story.call(Delete("web"))
    assert needed_images(story.machine) == {}, "neither an own kernel nor what is being deleted needs one"


def test_what_does_not_come_along_is_listed_with_what_to_do() -> None:
    machine = remembered().machine
    assert [(one.kind, one.name) for one in lacks(machine, frozenset(), has_values=False)] == [
        ("image", PIN.ref), ("secret", "key"), ("env", "web"), ("volume", "data"),
    ]  # fmt: skip
    assert lacks(machine, frozenset({PIN.index_digest}), has_values=True) == [
        Lack("volume", "data", "what it holds: `capsulectl volume import data FILE`")
    ]
