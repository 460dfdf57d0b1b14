"""Which images are needed as disks: those of microVMs that are declared, or still run from a former declaration."""

from journal.specs import MicroVM
from projections.intents import Delete
from projections.payloads import wanted_payloads
from tests.support.story import OTHER_PIN, PIN, Story, declared

ONE, OTHER = PIN.platform_digest, OTHER_PIN.platform_digest


def test_a_microvms_image_is_needed_from_its_declaration_until_nothing_runs_from_it() -> None:
    story = Story()
    story.apply(declared("box", pin=OTHER_PIN))
    assert wanted_payloads(story.machine) == frozenset(), "a container needs no disk"
    story.apply(declared("vm", vm=MicroVM()))
    assert wanted_payloads(story.machine) == {ONE}
    story.run_starts("vm")
    story.apply(declared("vm", vm=MicroVM(), pin=OTHER_PIN), pull=True)
    assert wanted_payloads(story.machine) == {ONE, OTHER}, "the former run goes on until it is stopped"
    story.run_ends("vm", 0)
    assert wanted_payloads(story.machine) == {OTHER}
    story.call(Delete("vm"))
    story.converge()
    assert "vm" not in story.machine.workloads and wanted_payloads(story.machine) == frozenset()
