"""The boot loader's own configuration, run without a machine: its language is a shell's but for a few words, and what it
asks of the firmware is answered here.
"""

import re
import subprocess
from collections.abc import Collection, Mapping

import msgspec

from image.boot import configuration

_MACHINE = """
esp=hd0,gpt1 disk=hd0
serial() { :; }
terminal_output() { :; }
sleep() { :; }
smbios() { return 1; }
load_env() { :; }
save_env() {
    [ "$WRITES" = yes ] || return 1
    shift 2
    for name in "$@"; do echo "saved $name=${!name}"; done
}
probe() {
    [ "${UNREAD/"$3"}" = "$UNREAD" ] || return 1
    root_id="id-of-$3"
}
linux() {
    command="${*:2}"
    [ "${UNLOADED/"$1"}" = "$UNLOADED" ]
}
initrd() { :; }
boot() {
    echo "booted $command"
    exit
}
reboot() {
    echo reset
    exit
}
"""
_PARTITIONS = {"slot_a": ("(hd0,gpt2)", "(hd0,gpt3)"), "slot_b": ("(hd0,gpt4)", "(hd0,gpt5)")}


class Turn(msgspec.Struct, frozen=True):
    """`words` are the kernel's, empty where the machine was reset instead; `saved` is what was written to the disk."""

    words: dict[str, str]
    saved: dict[str, str]


def turn(
    variables: Mapping[str, str], *, writes: bool = True, unloaded: Collection[str] = (), unread: Collection[str] = ()
) -> Turn:
    """With these variables on the disk. `unloaded` are slots whose kernel cannot be loaded, `unread` those whose root
    cannot be found."""
    text = re.sub(r"\bset (\w+)=", r"\1=", configuration(("quiet",)).replace("set gfxpayload=text\n", ""))
    text = re.sub(r"\(\$(\w+)\)(\S*?)(?=[;\s])", r'"(${\1})\2"', text)
    faults = {
        "WRITES": "yes" if writes else "no",
        "UNLOADED": " ".join(f"{_PARTITIONS[slot][0]}/vmlinuz" for slot in unloaded),
        "UNREAD": " ".join(_PARTITIONS[slot][1] for slot in unread),
    }
    done = subprocess.run(
        ["bash", "-c", _MACHINE + text], env={**variables, **faults}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    lines = done.stdout.splitlines()
    saved = dict(line.removeprefix("saved ").split("=", 1) for line in lines if line.startswith("saved "))
    if lines[-1] == "reset":
        return Turn({}, saved)
    words = lines[-1].removeprefix("booted ").split()
    return Turn(dict(word.split("=", 1) for word in words if "=" in word), saved)
