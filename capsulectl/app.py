"""The tree of commands. Each is imported only when it is run; what stands here is what `--help` lists."""

from cyclopts import App

from journal.release import RELEASE

app = App(
    name="capsulectl",
    help="Drive a capsule: containers and microVMs on a machine with a memory.",
    version=RELEASE,
    help_format="plaintext",
    version_flags=["--version"],
)


def _group(name: str, text: str) -> App:
    group = App(name=name, help=text, help_format="plaintext", version_flags=[])
    app.command(group)
    return group


def _add(parent: App, path: str, names: str, text: str) -> None:
    name, *aliases = names.split()
    parent.command(f"capsulectl.{path}", name=name, alias=aliases, help=text)


_add(app, "apply:apply", "apply", "Declare what a file, a directory or standard input describes.")
_add(app, "apply:diff", "diff", "Show what applying would change, field by field. Exits 0 same, 1 differs, 2 error.")

workload = _group("workload", "Containers and microVMs.")
_add(workload, "workload:list_", "list ls", "List workloads.")
_add(workload, "workload:get", "get", "Show one workload.")
_add(workload, "workload:start", "start", "Let a workload run.")
_add(workload, "workload:stop", "stop", "Stop a workload, over reboots, until it is started again.")
_add(workload, "workload:restart", "restart", "End the present run and begin another.")
_add(workload, "workload:delete", "delete rm", "Leave nothing of a workload.")
_add(workload, "workload:wait", "wait", "Wait until a workload runs, has stopped, or is gone.")
_add(workload, "logs:logs", "logs", "Print what a workload wrote.")
_add(workload, "exec:exec_", "exec", "Run a further process inside a workload.")

for shortcut, path, summary in (
    ("list ls", "workload:list_", "Shortcut of `workload list`."),
    ("get", "workload:get", "Shortcut of `workload get`."),
    ("start", "workload:start", "Shortcut of `workload start`."),
    ("stop", "workload:stop", "Shortcut of `workload stop`."),
    ("restart", "workload:restart", "Shortcut of `workload restart`."),
    ("delete rm", "workload:delete", "Shortcut of `workload delete`."),
    ("wait", "workload:wait", "Shortcut of `workload wait`."),
    ("logs", "logs:logs", "Shortcut of `workload logs`."),
    ("exec", "exec:exec_", "Shortcut of `workload exec`."),
):
    _add(app, path, shortcut, summary)

image = _group("image", "The image cache.")
_add(image, "image:list_", "list ls", "List images.")
_add(image, "image:rm", "rm remove", "Take images out of the cache. One that a workload uses is refused.")
_add(image, "image:gc", "gc", "Take out what no workload's last five revisions need.")
_add(image, "image:push", "push", "Load an OCI or docker-save archive into the cache.")

volume = _group("volume", "Volumes: block devices with a file system, for one workload at a time.")
_add(volume, "volume:create", "create", "Make a volume.")
_add(volume, "volume:list_", "list ls", "List volumes.")
_add(volume, "volume:get", "get", "Show one volume.")
_add(volume, "volume:resize", "resize", "Let a volume grow.")
_add(volume, "volume:delete", "delete rm", "Leave nothing of a volume.")
_add(volume, "volume:snapshot", "snapshot", "Keep a volume as it is now.")
_add(volume, "volume:snapshots", "snapshots", "List snapshots.")
_add(volume, "volume:restore", "restore", "Bring a volume back to a snapshot.")
_add(volume, "volume:delete_snapshot", "snapshot-delete", "Forget a snapshot.")

capsule = _group("capsule", "The machine itself.")
_add(capsule, "capsule:info", "info", "Show the machine: versions, sizes, condition.")
_add(capsule, "logs:daemon_logs", "logs", "Print the daemon's log of this boot.")

_add(app, "history:app", "history", "What happened: one line an event, newest last.")
_add(app, "replay:replay", "replay", "Fold the journal again, and with --verify compare with the machine's own state.")

journal = _group("journal", "The memory as a thing: proof, size, export and import.")
_add(journal, "journal:verify", "verify", "Prove that nothing was altered, dropped, inserted or cut off.")
_add(journal, "journal:stats", "stats", "Show the journal's extent and size.")
_add(journal, "journal:export", "export", "Write the whole journal into an archive.")
_add(journal, "journal:import_", "import", "Make a journal from an archive, in a state directory that has none.")

_add(app, "adopt:adopt", "adopt", "Enrol your key on a capsule and pin its certificate.")
_add(app, "adopt:whoami", "whoami", "Show who you are to the capsule, and with which role.")

key = _group("key", "The keys that may drive a capsule.")
_add(key, "key:list_", "list ls", "List keys and their roles.")
_add(key, "key:add", "add", "Let a further key drive the capsule.")
_add(key, "key:remove", "remove rm", "Let a key open nothing any more.")
_add(key, "key:role", "role", "Give a key another role.")
_add(key, "key:show", "show", "Show your own public key.")

context = _group("context", "The machines this command line knows.")
_add(context, "context:list_", "list ls", "List contexts.")
_add(context, "context:add", "add", "Remember a capsule by its socket.")
_add(context, "context:show", "show", "Show one context.")
_add(context, "context:use", "use", "Choose the context that commands talk to.")
_add(context, "context:remove", "rm", "Forget a context.")

_add(app, "schema:schema", "schema", "Print the JSON Schema of manifests.")
_add(app, "schema:explain", "explain", "Explain a kind of manifest, or one of its fields.")
_add(app, "completion:completion", "completion", "Print the completion script for a shell.")
