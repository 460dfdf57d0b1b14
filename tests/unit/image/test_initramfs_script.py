"""Parts of the initramfs's script, run by the shell that runs it there, beside the machine."""

import subprocess
from pathlib import Path

from image.boot import FILES

SCRIPT = (FILES / "initramfs.sh").read_text()


def part(begin: str, end: str) -> str:
    """From one text in it to before another."""
    assert SCRIPT.count(begin) == 1, begin
    return begin + SCRIPT.split(begin)[1].split(end)[0]


def run(script: str) -> str:
    """What it prints. `$B` runs nothing that takes time."""
    stub = 'B() { case $1 in sleep) ;; *) busybox "$@" ;; esac; }\nB=B\nrecord() { echo "record $*"; }\n'
    done = subprocess.run(
        ["busybox", "sh", "-c", stub + script], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout + done.stderr


def found(*answers: str) -> str:
    """Which device the root is on, where `blkid` answers so, the last one for ever."""
    cases = "".join(f"{number}) printf '{one}' ;; " for number, one in enumerate(answers[:-1], 1))
    asked = f'blkid() {{ echo >>"$count"; case $(wc -l <"$count") in {cases}*) printf \'{answers[-1]}\' ;; esac; }}\n'
    fails = 'count=$(mktemp)\ntrap \'rm "$count"\' EXIT\nfail() { echo "fail: $1"; exit; }\nwanted=PARTUUID=1\n'
    looked = part("# A disk may take a while", "# Its boot partition stands")
    return run(f'{fails}{asked}{looked}\necho "root: $device"')


def test_the_root_is_waited_for_and_is_the_partition_with_its_id() -> None:
    assert found("", "", "/dev/nvme0n1p3\\n") == "root: /dev/nvme0n1p3\n"
    assert found("") == "fail: no partition is PARTUUID=1\n"


def test_a_disk_beside_its_copy_boots_neither_and_says_what_to_do() -> None:
    assert found("/dev/sda3\\n/dev/sdb3\\n") == (
        "fail: 2 partitions are PARTUUID=1 (/dev/sda3 /dev/sdb3), so one disk is a copy of another: "
        "take all but one of them out\n"
    )


def test_why_it_ends_is_told_by_the_kernel_to_every_console_and_once(tmp_path: Path) -> None:
    fail = part("fail() {\n", "\n}\n") + "\n}\n"
    for place in ("/dev/kmsg", "/dev/console", "/proc/sysrq-trigger"):
        fail = fail.replace(f">{place}", f">>{tmp_path}/{Path(place).name}")
    assert "/dev/" not in fail and "/proc/" not in fail
    assert run(f'{fail}fail "no partition is PARTUUID=1"') == "record 2 failed no partition is PARTUUID=1\n"
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        # The level is one that is shown: boot.ARGUMENTS has the kernel show what is below 4.
        "kmsg": "<2>capsule: no partition is PARTUUID=1. The machine is reset in 10 seconds\n",
        "sysrq-trigger": "b\n",
    }
