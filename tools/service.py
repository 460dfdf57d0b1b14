"""`make install` and `make uninstall`: a hosted capsule as a service of systemd, apart from the checkout.

python -m tools.service install|uninstall [--purge]

Everything but the state is in /opt/capsule, made beside the one that runs and then put in its place: installing again
is the way to a later release.
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
from tools import place, root

ROOT = Path(__file__).resolve().parent.parent
PREFIX = Path("/opt/capsule")
STATE = Path("/var/lib/capsule")
UNIT = Path("/etc/systemd/system/capsuled.service")
OPTIONS = Path("/etc/default/capsuled")
COMMANDS = ("capsulectl", "capsuled")
LINKS = Path("/usr/local/bin")
GUEST = Path("build/guest")


def install() -> None:
    """Lay it down, and start it, or start it anew: what runs on it runs on."""
    if not Path("/run/systemd/system").is_dir():
        raise SystemExit("this machine is not run by systemd: `make up` starts a daemon without it")
    beside, former = PREFIX.with_suffix(".new"), PREFIX.with_suffix(".old")
    for leftover in (beside, former):
        shutil.rmtree(leftover, ignore_errors=True)
    _lay_down(beside)
    if PREFIX.exists():
        PREFIX.rename(former)
    beside.rename(PREFIX)
    shutil.rmtree(former, ignore_errors=True)
    shutil.copyfile(ROOT / "tools" / "capsuled.service", UNIT)
    settle(UNIT)
    for name in COMMANDS:
        _link(LINKS / name, PREFIX / "bin" / name)
    _systemctl("daemon-reload")
    _systemctl("enable", "--quiet", "capsuled")
    _systemctl("restart", "capsuled")
    print(f"capsuled runs, now and after each boot; its state is in {STATE}, options of yours go into {OPTIONS}")


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


def _link(link: Path, target: Path) -> None:
    if link.exists() and not link.is_symlink():
        raise SystemExit(f"{link} is there already and is not ours: remove it, and install again")
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def uninstall(purge: bool) -> None:
    """End what runs and take everything away; the state only where that was asked for."""
    if not (UNIT.exists() or PREFIX.exists() or (purge and STATE.exists())):
        print("nothing is installed")
        return
    if UNIT.exists():
        _systemctl("disable", "--quiet", "--now", "capsuled")
    daemon = PREFIX / "bin" / "capsuled"
    if daemon.exists() and (STATE / "journal").is_dir():
        subprocess.run([daemon, "--state", STATE, *_options(), "--halt"], check=True)
    UNIT.unlink(missing_ok=True)
    for name in COMMANDS:
        if (LINKS / name).is_symlink() and os.readlink(LINKS / name).startswith(f"{PREFIX}/"):
            (LINKS / name).unlink()
    shutil.rmtree(PREFIX, ignore_errors=True)
    if Path("/run/systemd/system").is_dir():
        _systemctl("daemon-reload")
    if purge:
        shutil.rmtree(STATE, ignore_errors=True)
        OPTIONS.unlink(missing_ok=True)
    stays = [str(one) for one in (STATE, OPTIONS) if one.exists()]
    print(f"uninstalled; {' and '.join(stays)} {'stay' if stays[1:] else 'stays'}" if stays else "uninstalled")


def _options() -> Sequence[str]:
    """Yours, of the bridge and the network: what is ended has to be found."""
    if not OPTIONS.exists():
        return ()
    told = subprocess.run(
        ["/bin/sh", "-c", f'. {OPTIONS}; printf %s "$CAPSULED_OPTIONS"'], capture_output=True, text=True, check=True
    )
    return told.stdout.split()


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
