"""A volume is not there, held, too small, or not what it is taken for."""

from tests.cli.mishaps.stage import Stage

WEB = """name: {name}
kind: Container
container:
  image: demo:1
  command: [sleep, "1000"]
  mounts: [{{volumeName: data, mountPath: /data}}]
"""


def volume_missing(stage: Stage) -> None:
    """It mounts a volume that nobody made."""
    stage.file("web.yaml", WEB.format(name="web"))
    stage.types("apply", "-f", "web.yaml")


def volume_held(stage: Stage) -> None:
    """Another one runs on it."""
    stage.apart("volume", "create", "data", "16MiB")
    stage.apart("apply", "-f", "-", "--wait", stdin=WEB.format(name="web"))
    stage.file("db.yaml", WEB.format(name="db"))
    stage.types("apply", "-f", "db.yaml")


def volume_in_use(stage: Stage) -> None:
    """It is to go, to be restored and to grow, while somebody runs on it."""
    stage.apart("volume", "create", "data", "16MiB")
    stage.apart("apply", "-f", "-", "--wait", stdin=WEB.format(name="web"))
    stage.apart("volume", "snapshot", "data", "before")
    stage.types("volume", "delete", "data", "--yes")
    stage.types("volume", "resize", "data", "32MiB")
    stage.types("volume", "restore", "data", "before", "--yes")


def volume_shrinks(stage: Stage) -> None:
    """It is to be smaller than it is."""
    stage.apart("volume", "create", "data", "32MiB")
    stage.types("volume", "resize", "data", "16MiB")


def volume_of_that_name(stage: Stage) -> None:
    """There is one of that name."""
    stage.apart("volume", "create", "data", "16MiB")
    stage.types("volume", "create", "data", "16MiB")


def bad_size(stage: Stage) -> None:
    """Sizes that are none, or none that could be."""
    stage.types("volume", "create", "data", "16")
    stage.types("volume", "create", "data", "lots")
    stage.types("volume", "create", "data", "1KiB")
    stage.types("volume", "create", "data", "900TiB")


def no_such_snapshot(stage: Stage) -> None:
    """It was never taken; another one is there already."""
    stage.apart("volume", "create", "data", "16MiB")
    stage.types("volume", "restore", "data", "monday", "--yes")
    stage.apart("volume", "snapshot", "data", "monday")
    stage.types("volume", "snapshot", "data", "monday")


def import_of_no_export(stage: Stage) -> None:
    """The file is none of `volume export`, or not whole."""
    stage.file("data.capsule", b"PK\x03\x04 something else")
    stage.types("volume", "import", "data", "data.capsule")
    stage.apart("volume", "create", "whole", "16MiB")
    stage.types("volume", "export", "whole", "whole.capsule")
    stage.shell("head -c 300 whole.capsule > half.capsule")
    stage.types("volume", "import", "data", "half.capsule")
    stage.types("volume", "export", "whole", "whole.capsule")


MISHAPS = (
    volume_missing, volume_held, volume_in_use, volume_shrinks, volume_of_that_name, bad_size, no_such_snapshot,
    import_of_no_export,
)  # fmt: skip
