"""`capsulectl diff A B [NAME]`: what is different between two moments."""

from collections.abc import Sequence

from capsule.v1 import history_pb2 as pb
from capsulectl.applying import print_differences
from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.moments import moment
from capsulectl.options import Common, Format
from capsulectl.render import say


def between(words: Sequence[str], output: Format, common: Common) -> int:
    """The exit code: 0 nothing, 1 something is different. Raises Failure with 2."""
    if not 2 <= len(words) <= 3:
        raise Failure("give manifests (-f FILE), or two moments and perhaps an object: diff '2h ago' now web", USAGE)
    name = words[2].removeprefix("workload/") if len(words) == 3 else ""
    if len(words) == 3 and not name:
        raise Failure(f"{words[2]!r} names nothing: leave it out to compare everything", USAGE)
    request = pb.CompareRequest(
        before=moment(words[0], "the first moment"),
        after=moment(words[1], "the second moment"),
        name=name,
    )
    try:
        connection = Connection(common.capsule)
        answer = connection.read(connection.history.Compare, request)
    except Failure as failure:
        raise Failure(failure.message, USAGE) from failure
    say(f"from entry {answer.before_seq} to {answer.after_seq}", common.quiet)
    return print_differences(answer.changes, output)
