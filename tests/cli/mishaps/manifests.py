"""What an operator wrote is no manifest, or none that can be."""

from tests.cli.mishaps.stage import Stage

WEB = """name: web
kind: Container
container:
  image: demo:1
  command: [sleep, "1000"]
"""


def _applied(stage: Stage, text: str) -> None:
    stage.file("web.yaml", text)
    stage.types("apply", "-f", "web.yaml")


def not_yaml(stage: Stage) -> None:
    """A bracket is not closed."""
    _applied(stage, "name: web\nkind: Container\ncontainer:\n  command: [sleep, 1000\n")


def tab_in_yaml(stage: Stage) -> None:
    """A line is indented by a tab."""
    _applied(stage, "name: web\nkind: Container\ncontainer:\n\timage: demo:1\n")


def unknown_kind(stage: Stage) -> None:
    """There is no such kind; another system has it."""
    _applied(stage, WEB.replace("Container", "Deployment"))


def kubernetes_manifest(stage: Stage) -> None:
    """A manifest of Kubernetes."""
    _applied(stage, "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers: []\n")


def misspelt_field(stage: Stage) -> None:
    """A letter is missing."""
    _applied(stage, WEB.replace("command", "comand"))


def wrong_type(stage: Stage) -> None:
    """A list is expected, and is a word."""
    _applied(stage, WEB + "  ports: 80\n")


def no_name(stage: Stage) -> None:
    """It has no name."""
    _applied(stage, WEB.replace("name: web\n", ""))


def bad_name(stage: Stage) -> None:
    """A name that no host name can be."""
    _applied(stage, WEB.replace("name: web", "name: My_Web"))


def twice_in_a_file(stage: Stage) -> None:
    """Two of one name."""
    _applied(stage, WEB + "---\n" + WEB)


def empty_file(stage: Stage) -> None:
    """Nothing is in it."""
    _applied(stage, "")


def no_such_file(stage: Stage) -> None:
    """The file is not there."""
    stage.types("apply", "-f", "wbe.yaml")


def no_manifests_there(stage: Stage) -> None:
    """A directory without manifests."""
    (stage.place / "manifests").mkdir()
    stage.types("apply", "-f", "manifests")


def binary_file(stage: Stage) -> None:
    """A picture was taken for a manifest."""
    stage.file("photo.yaml", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    stage.types("apply", "-f", "photo.yaml")


def no_image(stage: Stage) -> None:
    """It does not say what to run."""
    _applied(stage, "name: web\nkind: Container\ncontainer:\n  command: [sleep, '1000']\n")


def bad_memory(stage: Stage) -> None:
    """An amount of nothing."""
    _applied(stage, WEB + "  resources: {memory: 12 elephants}\n")


def bad_duration(stage: Stage) -> None:
    """A time without its unit."""
    _applied(stage, WEB + "  restart: {mode: always, backoffFirst: soon}\n")


def port_out_of_range(stage: Stage) -> None:
    """There is no such port."""
    _applied(stage, WEB + "  networkMode: BRIDGE\n  ports: [{containerPort: 80, hostPort: 80800}]\n")


def port_without_network(stage: Stage) -> None:
    """A port of a workload without a network."""
    _applied(stage, WEB + "  networkMode: NONE\n  ports: [{containerPort: 80, hostPort: 8080}]\n")


def mount_at_no_path(stage: Stage) -> None:
    """A volume is mounted at a relative path."""
    _applied(stage, WEB + "  mounts: [{volumeName: data, mountPath: data}]\n")


def unknown_capability(stage: Stage) -> None:
    """The kernel has none of that name."""
    _applied(stage, WEB + "  capAdd: [NET_ADMINS]\n")


def unknown_restart_mode(stage: Stage) -> None:
    """A word of Docker's."""
    _applied(stage, WEB + "  restart: unless-stopped\n")


def waits_for_itself(stage: Stage) -> None:
    """Two wait for each other."""
    first = WEB.replace("kind:", "dependsOn: [db]\nkind:")
    second = WEB.replace("name: web", "name: db").replace("kind:", "dependsOn: [web]\nkind:")
    _applied(stage, f"{first}---\n{second}")


def waits_for_nobody(stage: Stage) -> None:
    """Whom it waits for is not there."""
    _applied(stage, WEB.replace("kind:", "dependsOn: [db]\nkind:"))


def secret_not_there(stage: Stage) -> None:
    """Its secret was never made."""
    _applied(stage, WEB + "  secretEnv: {PASSWORD: db-password}\n")


def one_of_two_is_wrong(stage: Stage) -> None:
    """One manifest of two is wrong: neither is applied."""
    _applied(stage, f"{WEB}---\n{WEB.replace('name: web', 'name: db').replace('demo:1', 'demo:1:2')}")
    stage.types("list")


MISHAPS = (
    not_yaml, tab_in_yaml, unknown_kind, kubernetes_manifest, misspelt_field, wrong_type, no_name, bad_name,
    twice_in_a_file, empty_file, no_such_file, no_manifests_there, binary_file, no_image, bad_memory, bad_duration,
    port_out_of_range, port_without_network, mount_at_no_path, unknown_capability, unknown_restart_mode,
    waits_for_itself, waits_for_nobody, secret_not_there, one_of_two_is_wrong,
)  # fmt: skip
