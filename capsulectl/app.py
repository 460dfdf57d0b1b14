"""The tree of commands. Each is imported only when it is run; what stands here is what `--help` lists."""

from cyclopts import App, Group

from journal.release import RELEASE

app = App(
    name="capsulectl",
    help="Drive a capsule: containers and microVMs on a machine with a memory.",
    version=RELEASE,
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
    group_commands=Group("Besides", sort_key=9),
)


RUNNING = Group("Workloads", sort_key=1)
MACHINE = Group("The machine", sort_key=2)
MEMORY = Group("Its memory", sort_key=3)
HERE = Group("This command line", sort_key=4)
VERBS = Group("Verbs", sort_key=1)


def _group(name: str, text: str, panel: Group) -> App:
    group = App(name=name, help=text, help_format="plaintext", version_flags=[], group=panel, group_commands=VERBS)
    app.command(group)
    return group


def _add(parent: App, path: str, names: str, text: str, panel: Group | None = None) -> None:
    name, *aliases = names.split()
    parent.command(f"capsulectl.{path}", name=name, alias=aliases, help=text, group=panel)


_add(app, "apply:apply", "apply", "Declare what a file, a directory or standard input describes.", RUNNING)
_add(
    app,
    "apply:diff",
    "diff",
    "Show what applying would change, field by field. Exits 0 same, 1 differs, 2 error.",
    RUNNING,
)

_add(
    app,
    "drift:drift",
    "drift",
    "Show what is not as it is wanted, and whose doing that is. Exits 0 nothing, 1 something, 2 error.",
    RUNNING,
)

WORKLOADS = (
    ("list ls ps", "workload_list:list_", "List workloads."),
    ("get describe", "workload_list:get", "Show workloads in full."),
    ("events", "workload_list:events", "What happened to a workload."),
    ("logs", "logs:logs", "Print what a workload wrote."),
    ("exec", "exec:exec_", "Run a command inside a workload."),
    ("stats", "stats:stats", "What workloads use: processor, memory, disk, network."),
    ("top", "top:top", "What workloads use, live."),
    ("cp", "cp:cp", "Copy files into a workload, or out of it."),
    ("start", "workload:start", "Let workloads run."),
    ("stop", "workload:stop", "Stop workloads, over reboots, until they are started again."),
    ("restart", "workload:restart", "End the present runs and begin others."),
    ("wait", "workload:wait", "Wait until workloads run, have stopped, or are gone."),
    ("delete rm remove", "workload:delete", "Leave nothing of workloads."),
)
"""Verbs of `workload`, and of the top level: there is hardly anything else that they could mean."""

workload = _group("workload", "Containers and microVMs; the same verbs as above.", RUNNING)
for names, path, text in WORKLOADS:
    _add(workload, path, names, text)
    _add(app, path, names, text, RUNNING)

# Not at the top level, where `history` is the machine's.
_add(workload, "revisions:history", "history revisions", "The declarations of a workload, and what each changed.")

image = _group("image", "The image cache.", MACHINE)
_add(image, "image:list_", "list ls", "List images.")
_add(image, "image:pull", "pull", "Bring images from their registries.")
_add(image, "registry:login", "login", "Say how a registry is reached: as whom, by whose certificate.")
_add(image, "registry:logout", "logout", "Forget a registry.")
_add(image, "registry:logins", "logins", "List the registries that something is known of.")
_add(image, "image:rm", "rm remove delete", "Take images out of the cache. One that a workload uses is refused.")
_add(image, "image:gc", "gc", "Take out what no workload's last five revisions need.")
_add(image, "image:push", "push", "Load an OCI or docker-save archive into the cache.")

volume = _group("volume", "Volumes: block devices with a file system, for one workload at a time.", MACHINE)
_add(volume, "volume:create", "create", "Make a volume.")
_add(volume, "volume:list_", "list ls", "List volumes.")
_add(volume, "volume:get", "get describe", "Show volumes in full.")
_add(volume, "volume:resize", "resize", "Let a volume grow.")
_add(volume, "volume:delete", "delete rm remove", "Leave nothing of volumes.")
_add(volume, "volume:snapshot", "snapshot", "Keep a volume as it is now.")
_add(volume, "volume:snapshots", "snapshots", "List snapshots.")
_add(volume, "volume:restore", "restore", "Bring a volume back to a snapshot.")
_add(volume, "volume:delete_snapshot", "snapshot-delete", "Forget snapshots.")

_add(volume, "volume_files:export", "export", "Write what a volume holds into a file.")
_add(volume, "volume_files:import_", "import", "Make a volume of such a file.")

secret = _group("secret", "Secrets: values that workloads are given and nobody is shown.", MACHINE)
_add(secret, "secret:create", "create", "Keep a value under a name.")
_add(secret, "secret:list_", "list ls", "List secrets, never their values.")
_add(secret, "secret:rotate", "rotate", "Give secrets' users another value.")
_add(secret, "secret:reveal", "reveal", "Print a secret's value; that it was shown is remembered.")
_add(secret, "secret:remove", "rm remove delete", "Destroy secrets. One that a workload uses is refused.")

capsule = _group("capsule", "The machine itself.", MACHINE)
_add(capsule, "capsule:info", "info", "Show the machine: versions, sizes, condition.")
_add(capsule, "power:reboot", "reboot", "Start the machine anew: workloads end in their order, and come back.")
_add(capsule, "power:poweroff", "poweroff", "Switch the machine off: workloads end in their order first.")
_add(capsule, "grow_disk:grow_disk", "grow-disk", "Take what the disk has and nobody uses, after it was made larger.")
_add(capsule, "debug:debug", "debug", "Open a shell on the machine itself, removed when it ends.")
_add(capsule, "logs:daemon_logs", "logs", "Print the daemon's own log: of this boot or one before, by level and time.")

UPDATES = (
    ("push", "update_push:push", "Install a bundle in the other slot and boot it, to be confirmed."),
    ("status", "update:status", "Where updates stand: what runs, what is to be confirmed, what is wrong."),
    ("confirm", "update:confirm", "Keep the system that runs on trial."),
    ("rollback", "update:rollback", "Go back to the system before, or drop what waits for its boot."),
    ("history list ls", "update:history", "Updates, and what became of each."),
)
update = _group("update", "Updates of the operating system.", MACHINE)
capsule_update = App(name="update", help="Updates; the same verbs as above.", help_format="plaintext", version_flags=[])
capsule_update.group_commands = VERBS
capsule.command(capsule_update)
for names, path, text in UPDATES:
    _add(update, path, names, text)
    _add(capsule_update, path, names, text)
update_key = App(name="key", help="The keys that sign updates.", help_format="plaintext", version_flags=[])
update_key.group_commands = VERBS
update.command(update_key)
_add(update_key, "update_key:list_", "list ls", "List the keys that sign updates.")
_add(update_key, "update_key:add", "add", "Take only updates that this key, or another that is enrolled, signed.")
_add(update_key, "update_key:remove", "remove rm delete", "Take no update any more for a key's signature.")

_add(app, "history:app", "history", "What happened: one line an event, newest last.", MEMORY)
_add(app, "ui.command:ui", "ui", "Look at the machine in your browser, now and as it was at any moment.", MEMORY)
_add(app, "why:why", "why", "Why a workload or a volume is as it is, and what to try next.", MEMORY)
_add(
    app,
    "postmortem:postmortem",
    "postmortem",
    "Why an update of the system went back: both boots, cause, logs.",
    MEMORY,
)
_add(app, "rollback:rollback", "rollback", "Have workloads as they were: the plan first, then one entry.", MEMORY)
_add(
    app,
    "replay:replay",
    "replay",
    "Fold the journal again, and with --verify compare with the machine's own state.",
    MEMORY,
)

journal = _group("journal", "The memory as a thing: proof, size, export and import.", MEMORY)
_add(journal, "journal:verify", "verify", "Prove that nothing was altered, dropped, inserted or cut off.")
_add(journal, "journal:accept", "accept", "Take the journal as it is now for the one to compare with.")
_add(journal, "journal:stats", "stats", "Show the journal's extent and size.")
_add(journal, "journal:export", "export", "Write the whole journal into an archive.")
_add(journal, "journal:import_", "import", "Make a journal from an archive, in a state directory that has none.")

_add(journal, "retention:truncate", "truncate", "Let history begin later: what goes is exported first.")
_add(journal, "retention:excise", "excise", "Remove for ever what entries say; that it was removed stays.")

_add(app, "restore:restore", "restore", "Have a blank machine take over another's memory.", MEMORY)

_add(app, "discover:discover", "discover", "Find capsules on the LAN.", MACHINE)
_add(app, "install:install", "install", "Install a capsule on a machine that booted from a removable disk.", MACHINE)
_add(app, "adopt:adopt", "adopt", "Enrol your key on a capsule and pin its certificate.", MACHINE)
_add(app, "adopt:whoami", "whoami", "Show who you are to the capsule, and with which role.", MACHINE)

key = _group("key", "The keys that may drive a capsule.", MACHINE)
_add(key, "key:list_", "list ls", "List keys and their roles.")
_add(key, "key:add", "add", "Let a further key drive the capsule.")
_add(key, "key:remove", "remove rm delete", "Let a key open nothing any more.")
_add(key, "key:role", "role", "Give a key another role.")
_add(key, "key:show", "show", "Show your own public key.")

context = _group("context", "The machines this command line knows.", HERE)
_add(context, "context:list_", "list ls", "List contexts.")
_add(context, "context:add", "add", "Remember a capsule by its socket.")
_add(context, "context:show", "show", "Show one context.")
_add(context, "context:use", "use", "Choose the context that commands talk to.")
_add(context, "context:rename", "rename", "Give a context another name.")
_add(context, "context:remove", "rm remove delete", "Forget a context.")

_add(app, "schema:schema", "schema", "Print the JSON Schema of manifests.", HERE)
_add(app, "schema:explain", "explain", "Explain a kind of manifest, or one of its fields.", HERE)
_add(app, "completion:completion", "completion", "Print the completion script for a shell.", HERE)
