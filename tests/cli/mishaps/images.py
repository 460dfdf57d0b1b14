"""An image is not there, or not to be had, or none."""

from tests.cli.mishaps.stage import Stage
from tests.support.images import Sample, oci_archive
from tests.support.registry import registry


def registry_down(stage: Stage) -> None:
    """Nobody listens where the image is."""
    stage.types("image", "pull", "127.0.0.1:5999/web:1")


def registry_unknown(stage: Stage) -> None:
    """There is no machine of that name."""
    stage.types("image", "pull", "images.invalid/web:1")


def image_unknown(stage: Stage) -> None:
    """The registry does not have it."""
    with registry(inside=stage.site.inside) as running:
        stage.stands_for(running.host, "registry")
        stage.types("image", "pull", f"{running.host}/web:1")


def image_of_another_processor(stage: Stage) -> None:
    """It was built for another architecture."""
    stage.file("arm.tar", oci_archive(Sample(architecture="arm64")))
    stage.types("image", "push", "arm.tar")


def no_archive(stage: Stage) -> None:
    """What is pushed is no archive, or only half of one."""
    stage.file("web.tar", b"no archive at all" * 100)
    stage.types("image", "push", "web.tar")
    stage.file("half.tar", oci_archive(Sample())[:400_000])
    stage.types("image", "push", "half.tar")


def bad_reference(stage: Stage) -> None:
    """A name that no image can have."""
    stage.types("image", "pull", "Web:latest:1")


def image_in_use(stage: Stage) -> None:
    """It is to go while somebody runs of it."""
    stage.runs("web")
    stage.types("image", "rm", "demo:1")


def image_not_here(stage: Stage) -> None:
    """It is to go, and is not there."""
    stage.types("image", "rm", "demo:2")


def wrong_password(stage: Stage) -> None:
    """The registry takes nobody with that password, and nothing is kept."""
    with registry(auth="basic", inside=stage.site.inside) as running:
        stage.stands_for(running.host, "registry")
        stage.types("image", "login", running.host, "--user", "reader", "--password-stdin", input="guess\n")
        stage.types("image", "logins")


def certificate_of_a_stranger(stage: Stage) -> None:
    """The registry shows a certificate that nobody known has signed."""
    with registry(tls=True, inside=stage.site.inside) as running:
        stage.stands_for(running.host, "registry")
        stage.types("image", "pull", f"{running.host}/web:1")


def start_without_image(stage: Stage) -> None:
    """A workload is declared whose image cannot be had."""
    stage.file("web.yaml", "name: web\nkind: Container\ncontainer: {image: '127.0.0.1:5999/web:1'}\n")
    stage.types("apply", "-f", "web.yaml")


MISHAPS = (
    registry_down, registry_unknown, image_unknown, image_of_another_processor, no_archive, bad_reference, image_in_use,
    image_not_here, wrong_password, certificate_of_a_stranger, start_without_image,
)  # fmt: skip
