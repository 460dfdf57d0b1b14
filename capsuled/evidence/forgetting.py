"""What tentative boots left of updates that nobody remembers any more: it goes. Blocking: for a thread."""

import logging
import re
import shutil
from collections.abc import Container
from pathlib import Path

log = logging.getLogger(__name__)

_UPDATE = re.compile(r"[1-9][0-9]*")


def forget(evidence: Path, known: Container[int]) -> None:
    """Remove the directories of updates that are not `known`. What is not an update's stays, and so does what cannot be
    removed: the next start tries again."""
    for place in evidence.iterdir() if evidence.is_dir() else ():
        if _UPDATE.fullmatch(place.name) is None or int(place.name) in known:
            continue
        try:
            shutil.rmtree(place)
        except OSError as error:
            log.warning("what the boot of update %s left cannot be removed: %s", place.name, error.strerror)
