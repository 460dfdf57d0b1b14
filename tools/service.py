"""`make install` and `make uninstall`: a hosted capsule as a service of systemd, apart from the checkout.

python -m tools.service install|uninstall [--purge]

Everything but the state is in /opt/capsule, made beside the one that runs and then put in its place, which goes once
the new one runs: installing again is the way to a later release, and to the end of an installation that was cut off.
"""

import argparse
import compileall
import os
import shutil
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

from image import house, python
from image.modes import settle
from tools import environment_file, place, root

ROOT = Path(__file__).resolve().parent.parent
PREFIX = Path("/opt/capsule")
STATE = Path("/var/lib/capsule")
UNIT = Path("/etc/systemd/system/capsuled.service")
OPTIONS = Path("/etc/default/capsuled")
COMMANDS = ("capsulectl", "capsuled")
LINKS = Path("/usr/local/bin")
GUEST = Path("build/guest")
SYSTEMD = Path("/run/systemd/system")


def install() -> None:
    """Lay it down, and start it, or start it anew: what runs on it runs on."""
    if not SYSTEMD.is_dir():
        raise SystemExit("this machine is not run by systemd: `make up` starts a daemon without it")
    for name in COMMANDS:
        _refuse_others(LINKS / name)
    state, _ = _asked()
    _put_back()
    beside, former = _beside()
    _remove(beside, former)
    _lay_down(beside)
    os.sync()  # before it is anybody's: a power cut would leave files without content, in the place of those that ran
    if PREFIX.exists():
        PREFIX.rename(former)
    beside.rename(PREFIX)
    shutil.copyfile(ROOT / "tools" / "capsuled.service", UNIT)
    settle(UNIT)
    for name in COMMANDS:
        _link(LINKS / name, PREFIX / "bin" / name)
    _systemctl("daemon-reload")
    _systemctl("enable", "--quiet", "capsuled")
    os.sync()
    _systemctl("restart", "capsuled")
    _remove(former)
    print(f"capsuled runs, now and after each boot; its state is in {state}, options of yours go into {OPTIONS}")


def _beside() -> tuple[Path, Path]:
    """The release that is being laid down, and the one that ran before."""
    return PREFIX.with_suffix(".new"), PREFIX.with_suffix(".old")


def _put_back() -> None:
    """Of an installation that was cut off between its two renames the former release is aside, and none in place."""
    _, former = _beside()
    if former.exists() and not PREFIX.exists():
        former.rename(PREFIX)


def _remove(*trees: Path) -> None:
    for tree in trees:
        shutil.rmtree(tree, ignore_errors=True)


def _lay_down(prefix: Path) -> None:
    """A virtual environment with the packages of the lock, whose hashes are checked, and a copy of the house.
    Whoever is on the machine runs the commands, whatever root's umask."""
    venv.EnvBuilder(symlinks=True).create(prefix)
    (site,) = prefix.glob("lib/python3*/site-packages")
    python.place(site)
    lies = prefix / "house"
    for package in house.packages():
        shutil.copytree(ROOT / package, lies / package, ignore=shutil.ignore_patterns(*house.LEFT_OUT))
    shutil.copyfile(ROOT / "requirements.lock", lies / "requirements.lock")
    if (ROOT / GUEST / "manifest").exists():
        shutil.copytree(ROOT / GUEST, lies / GUEST)
    for activation in (*prefix.glob("bin/activate*"), *prefix.glob("bin/Activate*")):
        activation.unlink()
    place.place(PREFIX / "house", site, prefix / "bin", str(PREFIX / "bin" / "python"))
    compileall.compile_dir(prefix, quiet=1, stripdir=str(prefix), prependdir=str(PREFIX))
    settle(prefix)


def _refuse_others(link: Path) -> None:
    if link.exists() and not link.is_symlink():
        raise SystemExit(f"{link} is there already and is not ours: remove it, and install again")


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def uninstall(purge: bool) -> None:
    """End what runs and take everything away; the state only where that was asked for."""
    if not any(one.exists() for one in (UNIT, PREFIX, *_beside(), *((STATE,) if purge else ()))):
        print("nothing is installed")
        return
    state, options = _asked()
    _put_back()
    if UNIT.exists():
        _systemctl("disable", "--quiet", "--now", "capsuled")
    daemon = PREFIX / "bin" / "capsuled"
    halt = [str(daemon), "--state", str(STATE), *options, "--halt"]
    if daemon.exists() and (state / "journal").is_dir() and subprocess.run(halt, check=False).returncode:
        raise SystemExit("not everything is down, as was just said, and nothing is taken away: mend it and try again")
    UNIT.unlink(missing_ok=True)
    for name in COMMANDS:
        if (LINKS / name).is_symlink() and os.readlink(LINKS / name).startswith(f"{PREFIX}/"):
            (LINKS / name).unlink()
    _remove(PREFIX, *_beside())
    if SYSTEMD.is_dir():
        _systemctl("daemon-reload")
    if purge:
        _remove(STATE.resolve())
        if STATE.is_symlink():
            STATE.unlink()
        OPTIONS.unlink(missing_ok=True)
    # A place that options named may hold more than a capsule: whoever named it removes it.
    stays = [str(one) for one in dict.fromkeys((STATE, state, OPTIONS)) if one.exists()]
    print(f"uninstalled; {' and '.join(stays)} {'stay' if stays[1:] else 'stays'}" if stays else "uninstalled")


def _asked() -> tuple[Path, Sequence[str]]:
    """Where the state is, and what stands in the options, of the bridge, the network and the state: what is ended has
    to be found."""
    text = OPTIONS.read_text(errors="surrogateescape") if OPTIONS.exists() else ""
    try:
        options = environment_file.words(environment_file.variables(text).get("CAPSULED_OPTIONS", ""))
    except ValueError as error:
        raise SystemExit(f"{OPTIONS} cannot be read ({error}): correct it, and do the same again") from error
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--state", type=Path, default=STATE)
    known, _ = parser.parse_known_args(options)
    return known.state, options


def _systemctl(*words: str) -> None:
    subprocess.run(["systemctl", *words], check=True)


def main() -> None:
    """Install or uninstall."""
    parser = argparse.ArgumentParser(prog="python -m tools.service")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("install")
    verbs.add_parser("uninstall").add_argument("--purge", action="store_true")
    arguments = parser.parse_args()
    root.require()
    try:
        if arguments.verb == "install":
            install()
        else:
            uninstall(arguments.purge)
    except subprocess.CalledProcessError as error:
        told = " ".join(map(str, error.cmd))
        raise SystemExit(f"`{told}` failed; `journalctl -u capsuled` has more. Then do the same again") from error


if __name__ == "__main__":
    main()
