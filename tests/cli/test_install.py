"""`capsulectl install` against an installer whose disks are numbers: what an operator sees, and what is his afterwards."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from capsulectl.discover import Found
from capsulectl.operator_key import load
from capsuled.boot.disks import Disk
from capsuled.installed import Installed
from capsuled.installer.installation import Step
from capsuled.installer.targets import Target
from capsuled.tls import Certificate
from tests.support.house import standing
from tests.support.installers import GIB, ME, TwinMachine, installer
from tests.support.operators import Operator


class Scene:
    """An operator, and an installer somewhere on the LAN."""

    def __init__(self, anna: Operator, machine: TwinMachine, address: str, certificate: Certificate) -> None:
        self.anna, self.machine, self.address, self.certificate = anna, machine, address, certificate
        self.sure = (address, "--fingerprint", certificate.fingerprint, "--yes", "--no-wait")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    machine = TwinMachine()
    with installer(tmp_path, machine) as (address, certificate):
        yield Scene(Operator(tmp_path / "config"), machine, address, certificate)


def test_the_disks_are_listed_with_what_they_hold(scene: Scene) -> None:
    lines = scene.anna.good("install", scene.address, "--list").splitlines()
    assert [line.split() for line in lines] == [
        ["DISK", "SIZE", "MODEL", "HOLDS", "PROBLEM"],
        ["/dev/vda", "20", "GiB", "-", "nothing", "that", "is", "known", "-"],
        [
            "/dev/vdb",
            "1",
            "GiB",
            "-",
            "nothing",
            "that",
            "is",
            "known",
            *["it", "is", "too", "small:", "4", "GiB", "is", "the", "least"],
        ],
        ["/dev/vdc", "20", "GiB", "-", "a", "capsule", "-"],
    ]
    assert scene.anna.good("install", scene.address, "--list", "-o", "name") == "/dev/vda\n/dev/vdc\n"


def test_what_an_installer_says_of_its_disks_moves_no_cursor(scene: Scene) -> None:
    clear = "\x1b[2J"
    disk = Disk(f"/dev/{clear}", 20 * GIB, clear)
    scene.machine.more = (Target(disk, clear), Target(disk, clear, problem=clear))
    for words in (("--list",), ("--list", "-o", "name"), ()):
        done = scene.anna.ctl("install", scene.address, *words)
        assert "\x1b" not in done.stdout + done.stderr and "x1b[2J" in done.stdout + done.stderr


def test_an_installation_leaves_a_key_and_a_context_that_pins_what_was_seen(scene: Scene) -> None:
    done = scene.anna.ctl("install", *scene.sure, "--target", "vda", "--name", "home", "--operator", "anna")
    assert (done.returncode, done.stdout) == (0, "home\n")
    assert done.stderr.splitlines() == [
        "system       done",
        "boot loader  done",
        "/dev/vda is installed as home, which is yours",
    ]
    key = scene.anna.config / "keys/home.ed25519"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    kept = yaml.safe_load((scene.anna.config / "config.yaml").read_text())
    assert kept["current"] == "home" and kept["contexts"]["home"] == {
        "addr": scene.address,
        "capsule_id": ME.capsule_id,
        "tls_fingerprint_sha256": scene.certificate.fingerprint,
        "key_path": str(key),
    }
    (installed,) = scene.machine.installed
    assert (installed.kid, installed.operator) == (load(key).kid, "anna")


def test_unsealed_there_is_nothing_to_keep(scene: Scene) -> None:
    done = scene.anna.ctl("install", *scene.sure, "--target", "/dev/vda", "--no-seal")
    assert done.returncode == 0 and "Whoever asks first adopts it" in done.stderr
    assert not (scene.anna.config / "config.yaml").exists() and scene.machine.installed[0].kid == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "say which disk to install on: `--target DISK`"),
        (("--target", "sda"), 1, "/dev/sda is the disk that the installer runs from"),
        (("--target", "/dev/vdb"), 1, "too small: 4 GiB is the least"),
        (("--target", "/dev/vdc"), 1, "is a capsule's already. `--reinstall` destroys it"),
        (("--target", "vda", "--operator", "system"), 1, "choose another name"),
        (("--target", "vda", "--name", "a/b"), 2, "cannot be a context's name here"),
    ],
)
def test_what_is_refused_leaves_nothing_there_and_nothing_here(
    scene: Scene, words: tuple[str, ...], code: int, said: str
) -> None:
    done = scene.anna.ctl("install", *scene.sure, *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert scene.machine.installed == [] and not (scene.anna.config / "config.yaml").exists()


def test_another_certificate_than_the_consoles_is_refused_before_anything_is_sent(scene: Scene) -> None:
    done = scene.anna.ctl("install", scene.address, "--fingerprint", "0" * 64, "--yes", "--target", "vda")
    assert done.returncode == 1 and "REFUSED: the certificate" in done.stderr and scene.machine.installed == []


def contexts(anna: Operator, names: dict[str, str]) -> None:
    """The operator has these contexts already, of capsules with these ids."""
    known = {name: {"addr": "192.0.2.1:50000", "capsule_id": capsule_id} for name, capsule_id in names.items()}
    (anna.config / "config.yaml").write_text(yaml.safe_dump({"contexts": known}))


def test_a_name_that_is_another_capsules_is_refused_before_its_disk_is_destroyed(scene: Scene) -> None:
    scene.anna.good("context", "add", "here", "--socket", "/run/capsule.sock")
    contexts(scene.anna, {"home": "84cd3cc9-0e8f-41cd-8c2c-4f0f6f0c9a58"})
    for name in ("here", "home"):
        done = scene.anna.ctl("install", *scene.sure, "--target", "vdc", "--reinstall", "--name", name)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"the context {name} is another capsule's, and nothing was installed" in done.stderr
        assert f"`capsulectl context rm {name}` first" in done.stderr
    assert scene.machine.installed == [] and not (scene.anna.config / "keys").exists()
    scene.anna.good("context", "rm", "home")
    scene.anna.good("install", *scene.sure, "--target", "vdc", "--reinstall", "--name", "home")
    assert len(scene.machine.installed) == 1


def test_a_name_that_this_very_capsule_has_is_no_others(scene: Scene) -> None:
    scene.anna.config.mkdir()
    contexts(scene.anna, {"home": ME.capsule_id})
    scene.anna.good("install", *scene.sure, "--target", "vda", "--name", "home")
    kept = yaml.safe_load((scene.anna.config / "config.yaml").read_text())["contexts"]["home"]
    assert kept["addr"] == scene.address


class LateRival(TwinMachine):
    """While it is installed, its operator gives the name to another capsule."""

    def __init__(self, anna: Operator) -> None:
        super().__init__()
        self._anna = anna

    async def install(self, disk: str, installed: Installed, tell: Callable[[Step], None]) -> None:
        contexts(self._anna, {"home": "84cd3cc9-0e8f-41cd-8c2c-4f0f6f0c9a58"})
        await super().install(disk, installed, tell)


def test_without_a_context_in_the_end_it_is_said_which_key_opens_what_was_installed(tmp_path: Path) -> None:
    anna = Operator(tmp_path / "config")
    with installer(tmp_path, LateRival(anna)) as (address, certificate):
        sure = ("--fingerprint", certificate.fingerprint, "--yes", "--no-wait")
        done = anna.ctl("install", address, *sure, "--target", "vda", "--name", "home")
    key = anna.config / "keys/home.ed25519"
    assert done.returncode == 1 and "/dev/vda is installed, but has no context here" in done.stderr
    assert f"The only key that it takes is {key}: keep it" in done.stderr and key.exists()
    file = anna.config / "config.yaml"
    file.write_text(f"{file.read_text()}{done.stderr.splitlines()[-1].replace('NAME', 'attic')}\n")
    assert anna.data("context", "show", "attic")["capsule_id"] == ME.capsule_id


def test_an_installer_is_not_adopted_but_installed(scene: Scene) -> None:
    done = scene.anna.ctl("adopt", scene.address, "--yes")
    assert done.returncode == 1 and f"is an installer: `capsulectl install {scene.address}`" in done.stderr
    assert Found("attic", [], 1, {"mode": "installer", "adopted": "false"}).whose == "installer"
    assert Found("attic", [], 1, {"mode": "runtime", "adopted": "true"}).whose == "yes"


def test_without_yes_nobody_is_there_to_ask(scene: Scene) -> None:
    done = scene.anna.ctl("install", scene.address, "--target", "vda")
    assert done.returncode == 2 and scene.certificate.fingerprint in done.stderr and scene.machine.installed == []


def test_an_installation_that_fails_makes_no_context(scene: Scene) -> None:
    scene.machine.fails = "/dev/vda2: Input/output error"
    done = scene.anna.ctl("install", *scene.sure, "--target", "vda")
    assert done.returncode == 1 and "Input/output error. The disk does not boot; install again" in done.stderr
    assert not (scene.anna.config / "config.yaml").exists()


def test_what_runs_already_is_no_installer(tmp_path: Path) -> None:
    with standing(tmp_path / "state") as house:
        done = Operator(tmp_path / "config").ctl("install", house.address, "--list")
        assert done.returncode == 1 and "a capsule that runs, and no installer" in done.stderr
