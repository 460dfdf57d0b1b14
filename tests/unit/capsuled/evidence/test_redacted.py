"""What of a log may stand in the journal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsuled.evidence.redacted import CHARS, HIDDEN, LINE_CHARS, redacted, redacted_line, without_messages


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("registry password=hunter2 for alice", f"registry password={HIDDEN} for alice"),
        ("DB_PASSWORD: hunter2", f"DB_PASSWORD: {HIDDEN}"),
        ("Authorization: Bearer abc.def-ghi_12345", f"Authorization: Bearer {HIDDEN}"),
        ("token eyJhbGciOi.eyJzdWIi.c2ln end", f"token {HIDDEN} end"),
        ("GET https://alice:s3cret@example.org/x", f"GET https://alice:{HIDDEN}@example.org/x"),
        ("key " + "Ab1" * 20, f"key {HIDDEN}"),
        ('{"password":"hunter2","x":1}', f'{{"password":{HIDDEN},"x":1}}'),
        ('{\\"token\\": \\"hunter2\\"}', f'{{\\"token\\": {HIDDEN}'),
        ("password='hunter 2' for alice", f"password={HIDDEN} for alice"),
        ("AWS_SECRET_ACCESS_KEY=wJal/rXU for alice", f"AWS_SECRET_ACCESS_KEY={HIDDEN} for alice"),
        ("  MIIEvQ/BADANBgkqhkiG9w0BAQEFAASCBKcwggSjAg+AAoIBAQC7/4Jv+kQ0bAy==", f"  {HIDDEN}"),
        ("digest sha256:" + "0a" * 32, "digest sha256:" + "0a" * 32),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("[    1.000000] virtio_blk virtio1: [vda] 16777216 512-byte logical blocks", None),
        ("/perm/containerd/io/containerd/snapshotter/v1/overlayfs/snapshots/1234/fs/Usr/README", None),
        ("/capsule/house/capsuled/boot/storage_of_the_machine_is_a_long_path/that/is/no/secret.py", None),
    ],
)  # fmt: skip
def test_a_line_without_what_may_be_a_secret(line: str, kept: str | None) -> None:
    assert redacted_line(line) == (line if kept is None else kept)


@given(st.lists(st.text(max_size=2_000), max_size=40), st.integers(1, 9))
def test_whatever_comes_it_is_bounded_and_can_be_printed(lines: list[str], most: int) -> None:
    kept = redacted(lines, most)
    assert len(kept) == min(most, len(lines)) or sum(map(len, kept)) + LINE_CHARS > CHARS
    assert all(len(line) <= LINE_CHARS and line.replace("\t", "").isprintable() for line in kept)


def test_long_lines_leave_room_for_fewer() -> None:
    kept = redacted(["x" * LINE_CHARS, *("y" * LINE_CHARS for _ in range(100))])
    assert len(kept) == CHARS // LINE_CHARS and set(kept) == {"y" * LINE_CHARS}


def test_of_a_traceback_the_places_and_the_kind_stay_and_its_message_goes() -> None:
    log = (
        "2026-11-28T10:00:00.000+00:00 ERROR capsuled.engine: it failed",
        "  Traceback (most recent call last):",
        '    File "/capsule/house/capsuled/engine.py", line 12, in run',
        "      raise KeyError(password)",
        "  KeyError: 'hunter2'",
        "2026-11-28T10:00:01.000+00:00 INFO capsuled: on",
    )
    assert list(without_messages(log)) == [
        log[0], log[1], "    /capsule/house/capsuled/engine.py:12 run", "  KeyError", log[5],
    ]  # fmt: skip
