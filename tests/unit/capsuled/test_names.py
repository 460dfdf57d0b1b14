"""What the bridge's name server answers: workloads by name and address, its own zone, and nothing of anybody else's."""

import tracemalloc
from collections.abc import Iterator

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest
from msgspec.structs import replace

from capsuled.names import NAMING, Answers, addresses_of, unavailable
from journal.events import NetworkMoved
from projections.fold import fold
from projections.intents import Declared, Delete
from projections.network import in_use, moved_to
from tests.support.story import Story, declared

GATEWAY = "172.20.254.1"


@pytest.fixture
def answers() -> Iterator[Answers]:
    made = Answers()
    made.know({"web": "172.20.254.2", "onhost": GATEWAY}, GATEWAY)
    yield made


def network(name: str, kind: str) -> Declared:
    made = declared(name)
    return replace(made, spec=replace(made.spec, network=kind))


def ask(answers: Answers, name: str, kind: str = "A") -> dns.message.Message | None:
    answer = answers.to(dns.message.make_query(name, kind).to_wire())
    return None if answer is None else dns.message.from_wire(answer)


def told(answers: Answers, name: str, kind: str = "A") -> tuple[str, list[str]]:
    answer = ask(answers, name, kind)
    assert answer is not None, f"{name} was to be asked elsewhere"
    return dns.rcode.to_text(answer.rcode()), [str(one) for each in answer.answer for one in each]


@pytest.mark.parametrize("name", ["web", "web.capsule", "WEB.Capsule.", "weB"])
def test_a_workload_has_an_address_by_its_name_in_any_case(answers: Answers, name: str) -> None:
    assert told(answers, name) == ("NOERROR", ["172.20.254.2"])


def test_an_answer_repeats_the_name_as_it_was_asked_and_says_whose_word_it_is(answers: Answers) -> None:
    answer = ask(answers, "WeB.capsule")
    assert answer is not None and answer.question[0].name.to_text() == "WeB.capsule."
    assert answer.answer[0].name.to_text() == "WeB.capsule." and answer.answer[0].ttl == 5
    assert answer.flags & dns.flags.AA and answer.flags & dns.flags.RA and answer.flags & dns.flags.QR


def test_one_that_has_no_such_record_is_there_all_the_same(answers: Answers) -> None:
    assert told(answers, "web", "AAAA") == ("NOERROR", [])
    assert told(answers, "capsule", "SOA") == ("NOERROR", [])


def test_what_is_unknown_in_the_zone_does_not_exist(answers: Answers) -> None:
    assert told(answers, "nobody.capsule") == ("NXDOMAIN", [])
    assert told(answers, "sub.web.capsule") == ("NXDOMAIN", [])


def test_an_address_has_its_name_back_but_the_machines_own_is_nobodys(answers: Answers) -> None:
    assert told(answers, "2.254.20.172.in-addr.arpa", "PTR") == ("NOERROR", ["web.capsule."])
    assert ask(answers, "1.254.20.172.in-addr.arpa", "PTR") is None


@pytest.mark.parametrize("name", ["example.org", "nobody", "web.example.org", "capsule.example.org", "acapsule"])
def test_every_other_name_is_asked_elsewhere(answers: Answers, name: str) -> None:
    assert ask(answers, name) is None


def test_what_is_no_question_is_not_answered(answers: Answers) -> None:
    query = dns.message.make_query("web", "A")
    reply = dns.message.make_response(query)
    assert answers.to(reply.to_wire()) is None, "two servers would talk for ever"
    assert answers.to(query.to_wire()[:-3]) is None
    query.set_opcode(dns.opcode.NOTIFY)
    assert answers.to(query.to_wire()) is None
    assert answers.to(dns.message.make_query("web", "TXT", "CH").to_wire()) is None


def test_an_answer_that_is_kept_carries_each_questions_own_id(answers: Answers) -> None:
    question = dns.message.make_query("web", "A").to_wire()
    first, second = answers.to(b"\x00\x01" + question[2:]), answers.to(b"\x00\x02" + question[2:])
    assert first is not None and second is not None
    assert (first[:2], second[:2], first[2:]) == (b"\x00\x01", b"\x00\x02", second[2:])


def test_of_long_questions_nothing_is_kept(answers: Answers) -> None:
    assert told(answers, "web"), "what it needs for an answer is loaded"
    tracemalloc.start()
    try:
        for number in range(200):
            padding = dns.edns.GenericOption(dns.edns.OptionType.PADDING, number.to_bytes(2, "big") * 20_000)
            question = dns.message.make_query("web", "A", use_edns=0, options=[padding])
            answer = answers.to(question.to_wire(max_size=65_535))
            assert answer is not None and dns.message.from_wire(answer).answer
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 2 << 20


def test_a_changed_address_is_answered_at_once(answers: Answers) -> None:
    assert told(answers, "web")[1] == ["172.20.254.2"]
    answers.know({"web": "172.20.254.7"}, GATEWAY)
    assert told(answers, "web")[1] == ["172.20.254.7"]
    assert ask(answers, "2.254.20.172.in-addr.arpa", "PTR") is None


def test_that_nobody_could_be_asked_is_said_with_the_question() -> None:
    question = dns.message.make_query("example.org", "A", use_edns=0)
    answer = dns.message.from_wire(unavailable(question.to_wire()))
    assert answer.rcode() == dns.rcode.SERVFAIL and answer.question == question.question
    assert question.is_response(answer)


def test_names_are_those_of_workloads_that_stay() -> None:
    story = Story()
    story.apply(*(network(name, kind) for name, kind in (("a", "bridge"), ("b", "host"), ("c", "none"))))
    assert addresses_of(story.machine, GATEWAY) == {"a": "172.20.254.2", "b": GATEWAY}
    story.call(Delete("a"))
    assert addresses_of(story.machine, GATEWAY) == {"b": GATEWAY}


def test_names_change_with_the_entries_that_are_followed_for_them_each_and_no_others() -> None:
    story = Story()
    story.apply(network("a", "bridge"), network("b", "host"), network("c", "bridge"))
    story.converge()
    moved = moved_to(story.machine, "10.7.0.0/24")
    assert isinstance(moved, NetworkMoved)
    story.tell(moved)
    story.apply(network("a", "none"))
    story.converge()
    story.call(Delete("b"))
    story.call(Delete("c"))
    story.converge()
    machine, changing = story.beginning.fork(), set()
    for header, event in story.entries:
        before = addresses_of(machine, GATEWAY), in_use(machine)
        fold(machine, header, event)
        if (addresses_of(machine, GATEWAY), in_use(machine)) != before:
            changing.add(type(event))
    assert changing == set(NAMING)
