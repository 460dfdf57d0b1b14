"""Runs inside a booted machine, given to its Python: prints as JSON what there is of it. The standard library alone.

The one argument is JSON: `mark`, by which the soak's own programs are known, and the addresses of `pages` to be asked for.
What is of the container that this runs in is left out.
"""

import json
import os
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

OWN = "capsule-debug"
"""The container that this runs in."""


def words_of(entry: Path) -> list[str]:
    try:
        return (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def held(pid: int) -> dict[str, Any]:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    memory_mib = round(int(status["RssAnon"].split()[0]) / 1024, 1)
    handles = len(os.listdir(f"/proc/{pid}/fd"))
    return {"pid": pid, "handles": handles, "threads": int(status["Threads"]), "memory_mib": memory_mib}


def ours() -> set[int]:
    """This process, and those that it came from."""
    found: set[int] = set()
    pid = os.getpid()
    while pid > 1:
        found.add(pid)
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pid = int(stat[1])
    return found


def page(address: str, path: str = "") -> str | None:
    try:
        with urllib.request.urlopen(f"http://{address}/{path}", timeout=5) as answer:
            return str(answer.read().decode().strip())
    except OSError:
        return None


def main() -> None:
    asked = json.loads(sys.argv[1])
    mine, runtime = ours(), 0
    programs: Counter[str] = Counter()
    processes: Counter[str] = Counter()
    shims: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        words = words_of(entry)
        if not words or not words[0] or int(entry.name) in mine:
            continue
        if len(words) > 3 and words[:2] == ["sh", "-c"] and words[3].startswith(asked["mark"]):
            programs[words[3]] += 1
            continue
        if "shim" in words[0] and "-id" in words:
            if not words[words.index("-id") + 1].startswith(OWN):
                shims.append(words[words.index("-id") + 1])
            continue
        if words[0].rpartition("/")[2] == "containerd":
            runtime = int(entry.name)
        try:
            processes[(entry / "comm").read_text().strip()] += 1
        except OSError:
            continue
    mounts = [line.split()[4] for line in Path("/proc/1/mountinfo").read_text().splitlines()]
    groups = [str(one) for one in Path("/sys/fs/cgroup").rglob("*") if one.is_dir()]
    perm = os.statvfs("/perm")
    daemon = int(Path("/perm/capsuled.pid").read_text())
    print(
        json.dumps(
            {
                "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                "daemon": held(daemon),
                "runtime": held(runtime),
                "programs": programs,
                "processes": processes,
                "shims": sorted(shims),
                "mounts": sorted(one for one in mounts if OWN not in one),
                "groups": sorted(one for one in groups if OWN not in one),
                "links": sorted(os.listdir("/sys/class/net")),
                "mapped": sorted(one.read_text().strip() for one in Path("/sys/block").glob("dm-*/dm/name")),
                "perm_mib": round((perm.f_blocks - perm.f_bfree) * perm.f_frsize / (1 << 20), 1),
                "pages": {address: [page(address), page(address, "lines")] for address in asked["pages"]},
            }
        )
    )


if __name__ == "__main__":
    main()
