"""A port is somebody else's, or nobody is at the other end."""

from tests.cli.mishaps.stage import Stage

WEB = """name: {name}
kind: Container
container:
  image: demo:1
  command: [sleep, "1000"]
  ports: [{{containerPort: 80, hostPort: 8080}}]
"""


def port_taken(stage: Stage) -> None:
    """Another workload has it."""
    stage.apart("apply", "-f", "-", "--wait", stdin=WEB.format(name="web"))
    stage.file("db.yaml", WEB.format(name="db"))
    stage.types("apply", "-f", "db.yaml")


def port_taken_by_the_machine(stage: Stage) -> None:
    """A program of the machine's own listens there."""
    stage.file("web.yaml", WEB.format(name="web").replace("8080", "50000"))
    stage.types("apply", "-f", "web.yaml")


def nobody_listens(stage: Stage) -> None:
    """The machine is off, or the port another one."""
    stage.types("list", "--capsule", "127.0.0.1:50001")


def no_such_host(stage: Stage) -> None:
    """There is no machine of that name."""
    stage.types("adopt", "capsule.invalid")


def no_such_socket(stage: Stage) -> None:
    """No daemon runs there."""
    stage.types("list", "--capsule", f"unix:{stage.place}/none.sock")


MISHAPS = (port_taken, port_taken_by_the_machine, nobody_listens, no_such_host, no_such_socket)
