"""A log on our two streams: what stands before each line stands before all of it, and no run ends another's line."""

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl.log_lines import LINE_BYTES, Printer, stamp

AT_NS = 1_700_000_000_250_000_000
LATER_NS = AT_NS + 5_000_000_000

Written = pytest.CaptureFixture[bytes]


def chunk(data: bytes, **more: object) -> pb.WorkloadLogChunk:
    return pb.WorkloadLogChunk(data=data, **more)  # type: ignore[arg-type]


def gap(**more: object) -> pb.WorkloadLogChunk:
    return chunk(b"[capsule] 7 bytes are gone\n", dropped_bytes=7, **more)


def test_what_another_writes_meanwhile_comes_between_lines_and_not_into_one(capfdbinary: Written) -> None:
    db, web = Printer("db  | ", timestamps=False), Printer("web | ", timestamps=False)
    web.print(chunk(b"one\nhal"))
    db.print(chunk(b"ready\n"))
    web.print(chunk(b"f", stderr=True))
    web.print(chunk(b"f\n"))
    assert capfdbinary.readouterr().out == b"web | one\ndb  | ready\nweb | half\n"
    web.print(chunk(b"cut off"))
    web.end()
    assert capfdbinary.readouterr() == (b"web | cut off\n", b"web | f\n")
    web.end()
    assert capfdbinary.readouterr() == (b"", b"")


def test_a_line_that_its_run_did_not_end_is_told_before_the_next_run_with_its_own_time(capfdbinary: Written) -> None:
    stamped = Printer("", timestamps=True)
    stamped.print(chunk(b"cut off", run=1, at_unix_ns=AT_NS))
    stamped.print(chunk(b"anew\n", run=2, at_unix_ns=LATER_NS))
    assert capfdbinary.readouterr().out == stamp(AT_NS, False) + b"cut off\n" + stamp(LATER_NS, False) + b"anew\n"


def test_a_line_has_the_time_of_its_end(capfdbinary: Written) -> None:
    stamped = Printer("", timestamps=True)
    stamped.print(chunk(b"a long ", at_unix_ns=AT_NS))
    stamped.print(chunk(b"one\n", at_unix_ns=LATER_NS))
    assert capfdbinary.readouterr().out == stamp(LATER_NS, False) + b"a long one\n"


def test_one_log_without_names_and_times_comes_as_it_was_written_within_a_run(capfdbinary: Written) -> None:
    plain = Printer("", timestamps=False)
    for data in (b"login: ", b"10%\r", b"20%\r"):
        plain.print(chunk(data, run=1))
        assert capfdbinary.readouterr().out == data
    plain.print(chunk(b"err", run=1, stderr=True))
    plain.print(chunk(b"login: ", run=2))
    assert capfdbinary.readouterr() == (b"\nlogin: ", b"err\n")
    plain.print(chunk(b"root\n", run=2))
    plain.print(chunk(b"login: ", run=3))
    plain.end()
    assert capfdbinary.readouterr() == (b"root\nlogin: ", b""), "a run that ended its lines needs no other line's end"


@pytest.mark.parametrize("prefix", ["", "web | "])
def test_behind_what_is_missing_another_line_begins(capfdbinary: Written, prefix: str) -> None:
    printer, lead = Printer(prefix, timestamps=False), prefix.encode()
    for one in (chunk(b"its front"), gap(), chunk(b"whole\n")):
        printer.print(one)
    out, err = capfdbinary.readouterr()
    assert out == lead + b"its front\n" + lead + b"whole\n"
    assert err == lead + b"[capsule] 7 bytes are gone\n"


def test_a_line_without_an_end_is_told_in_pieces_under_its_name(capfdbinary: Written) -> None:
    printer = Printer("web | ", timestamps=False)
    piece = b"x" * (LINE_BYTES // 4)
    for _ in range(9):
        printer.print(chunk(piece))
    assert capfdbinary.readouterr().out == (b"web | " + b"x" * LINE_BYTES + b"\n") * 2
    printer.print(chunk(b"end\n"))
    assert capfdbinary.readouterr().out == b"web | " + piece + b"end\n"


def test_a_line_is_cut_at_the_same_places_however_it_comes_and_not_within_a_letter(capfdbinary: Written) -> None:
    text = b"x" * (LINE_BYTES - 1) + "éa".encode() + b"\n"
    expected = b"w " + text[: LINE_BYTES - 1] + b"\nw " + "éa\n".encode()
    for pieces in ([text], [text[:LINE_BYTES], text[LINE_BYTES:]], [text[:-1], text[-1:]]):
        printer = Printer("w ", timestamps=False)
        for data in pieces:
            printer.print(chunk(data))
        assert capfdbinary.readouterr().out == expected
    Printer("w ", timestamps=False).print(chunk(b"\x80" * (LINE_BYTES + 9) + b"\n"))
    assert capfdbinary.readouterr().out.count(b"w ") == 2, "what is no text is cut, too"
    exact = Printer("w ", timestamps=False)
    exact.print(chunk(b"y" * LINE_BYTES))
    exact.print(chunk(b"\n"))
    assert capfdbinary.readouterr().out == b"w " + b"y" * LINE_BYTES + b"\n"
