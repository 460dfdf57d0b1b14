"""`capsulectl capsule grow-disk`."""

from capsule.v1 import disk_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.options import COMMON, Common, DryRun, Output
from capsulectl.render import plain, say, show_table, write
from projections.words import bytes_text

GROW_S = 300.0


def grow_disk(*, dry_run: DryRun = False, output: Output = "table", common: Common = COMMON) -> None:
    """Take what the machine's disk has and nobody uses, after it was made larger.

    The last partition grows to the disk's end, and with it the state, the journal's room and the pool of volumes.
    Workloads run on. Nothing is ever made smaller.

    Example: capsulectl capsule grow-disk
    """
    connection = Connection(common.capsule)
    answer = connection.call(
        connection.stub("disk", "DiskService").Grow, pb.GrowDiskRequest(dry_run=dry_run), timeout=GROW_S
    )
    if output in ("json", "yaml"):
        write(plain(answer), output)
        return
    if output == "name":
        print(answer.disk)
        return
    unused = f"{bytes_text(answer.unused_bytes)} of {answer.disk} {'are' if dry_run else 'were'} nobody's"
    if dry_run:
        say(unused if answer.unused_bytes else f"nothing of {answer.disk} is unused", common.quiet)
    elif not answer.parts:
        say(f"nothing of {answer.disk} is unused: everything is as large as it can be", common.quiet)
    else:
        say(unused, common.quiet)
        rows = [(one.name, bytes_text(one.before_bytes), bytes_text(one.after_bytes)) for one in answer.parts]
        show_table(("PART", "BEFORE", "NOW"), rows)
