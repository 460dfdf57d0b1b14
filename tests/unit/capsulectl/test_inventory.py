"""What a blank machine would lack of an archive's: told from the state in it."""

from msgspec.structs import replace

from capsulectl.inventory import Lack, Origins, Remembered, lacks, needed_images
from journal.archive import Title
from journal.events import ImagePulled, ImagePushed, ImageRemoved, PushedImage
from journal.specs import ImagePin, MicroVM, SealedEnv
from projections.fold import fold
from projections.intents import ConfigureRegistry, CreateSecret, CreateVolume, Declared, Delete
from tests.support.story import OTHER_PIN, PIN, Story, declared

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


def past(story: Story) -> Remembered:
    """As its archive is read."""
    origins, machine = Origins(), story.beginning.fork()
    for header, event in story.entries:
        origins.hear(machine, event)
        fold(machine, header, event)
    origins.see(machine)
    return Remembered(Title("ab", "0.1.0", 1, machine.seq, "cd"), machine, origins)


def note(story: Story) -> str:
    """What is said of the one image."""
    (one,) = [one for one in lacks(past(story), frozenset(), frozenset()) if one.kind == "image"]
    return one.note


def test_what_does_not_come_along_is_listed_with_what_to_do() -> None:
    told = past(remembered())
    assert [(one.kind, one.name) for one in lacks(told, frozenset(), frozenset())] == [
        ("image", PIN.ref), ("secret", "key"), ("env", "web"), ("volume", "data"),
    ]  # fmt: skip
    assert lacks(told, frozenset({PIN.index_digest}), frozenset({"sealed", "x"})) == [
        Lack("volume", "data", "what it holds: `capsulectl volume import data FILE`")
    ]


def test_of_values_that_come_along_those_are_listed_that_are_not_among_them() -> None:
    story = Story()
    story.call(CreateSecret("old", "a", 6))
    story.call(CreateSecret("late", "b", 6))
    made = declared("web")
    story.apply(replace(made, spec=replace(made.spec, env=(SealedEnv("HERE", "c"), SealedEnv("GONE", "d")))))
    story.call(ConfigureRegistry("one.lan", username="anna", secret="e", ca="f"))
    story.call(ConfigureRegistry("two.lan", username="anna", secret="e"))
    held = frozenset({PIN.index_digest})
    assert [one[:2] for one in lacks(past(story), held, frozenset("ace"))] == [
        ("secret", "late"), ("env", "web"), ("registry", "one.lan"),
    ]  # fmt: skip
    assert lacks(past(story), held, frozenset("ace"))[1].note == "apply it again with its values: GONE"
    assert lacks(past(story), held, frozenset("abcdef")) == []


def arrived(kind: type[ImagePulled] | type[ImagePushed], *pins: ImagePin) -> Story:
    """A workload pinned to what its name meant first; then the name means each of the others."""
    story = Story()
    story.tell(kind((PushedImage(PIN),)))
    story.apply(declared("web"))
    story.tell(*(kind((PushedImage(pin),)) for pin in pins))
    return story


def test_only_what_was_pulled_is_said_to_be_fetched_also_when_its_name_means_another_by_now() -> None:
    fetched = "is fetched from its registry, by its digest"
    assert note(arrived(ImagePulled)) == note(arrived(ImagePulled, OTHER_PIN)) == fetched
    assert note(arrived(ImagePushed)) == "was pushed: push it here, too"
    moved = note(arrived(ImagePushed, OTHER_PIN))
    assert "its name means another image by now" in moved and "before that machine goes" in moved
    story = arrived(ImagePushed)
    story.tell(ImageRemoved(refs=(PIN.ref,)))
    assert "nothing has its name by now" in note(story)


def test_what_was_pulled_before_the_archive_begins_is_known_from_the_state_that_it_begins_with() -> None:
    story = Story()
    story.tell(ImagePulled((PushedImage(PIN),)))
    cut = Story()
    cut.beginning, cut.machine = story.machine.fork(), story.machine.fork()
    cut.apply(declared("web"))
    cut.tell(ImagePushed((PushedImage(OTHER_PIN),)))
    assert note(cut) == "is fetched from its registry, by its digest"


def test_of_an_image_of_which_nothing_is_known_nothing_is_promised() -> None:
    story = Story()
    story.apply(declared("web"))
    assert "nothing in the archive says that it was ever pulled" in note(story)
