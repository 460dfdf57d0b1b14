"""What the fields of a manifest mean, for `explain` and the JSON Schema. A test says that none is missing."""

KINDS = {
    "Container": "A container: an image's processes, isolated by the kernel.",
    "MicroVM": "A microVM: an image's processes under a kernel of their own.",
    "Volume": "A volume: a block device with a file system, for one workload at a time.",
}

FIELDS: dict[str, dict[str, str]] = {
    "Workload": {
        "name": "The workload's name: 1 to 63 lower-case letters, digits and inner hyphens.",
        "kind": "Container or MicroVM.",
        "container": "What to run, for `kind: Container`.",
        "microVm": "What to run, for `kind: MicroVM`.",
        "desiredState": "RUNNING (also when left out) or STOPPED.",
        "labels": "Names and values of your own, to select by.",
    },
    "ContainerSpec": {
        "image": "The image, like busybox:1.36. Pinned to a digest when first applied, until the text changes.",
        "command": "Replaces the image's entrypoint and command.",
        "args": "Replaces the image's command, or follows `command`.",
        "env": "Environment variables, as a mapping or a list of name/value pairs. Values are sealed on the way in.",
        "mounts": "Volumes, by name, at paths inside.",
        "networkMode": "BRIDGE (when left out), HOST or NONE.",
        "ports": "Host ports that lead inside.",
        "privileged": "Every capability, every device, nothing masked: root on the machine by another name.",
        "hostPid": "Sees and signals the machine's processes.",
        "hostMount": "Shares the machine's mounts.",
        "hostIpc": "Shares the machine's shared memory and semaphores.",
        "hostBindPaths": "Paths of the machine, at the same place inside.",
        "workingDir": "Where the command starts; the image's when left out.",
        "user": "A name or number, `:group` behind it if wanted; the image's when left out.",
        "stopGraceSeconds": "How long a stop waits before it kills: 10 when left out, 3600 at most.",
        "restart": "ALWAYS (when left out), ON_FAILURE or NEVER; with a back-off of 1 s that doubles up to 5 minutes.",
        "logs": "How much of what it writes is kept.",
    },
    "LogSpec": {
        "maxSizeBytes": "What the logs of all its runs may take together: 64MiB when left out. The oldest goes first.",
    },
    "MicroVMSpec": {
        "image": "The image, turned into a disk once for all VMs that use it.",
        "command": "Replaces the image's entrypoint and command.",
        "args": "Replaces the image's command, or follows `command`.",
        "env": "Environment variables. Values are sealed on the way in.",
        "kernelPath": "A kernel of your own, instead of the machine's.",
        "rootfsPath": "A root file system of your own, instead of an image.",
        "vcpus": "Virtual processors: 1 when left out.",
        "memoryMib": "Memory in MiB: 256 when left out.",
        "mounts": "Volumes, by name, at paths inside.",
        "kernelCmdlineExtra": "Added to the kernel's command line.",
        "backend": "What runs the VM: QEMU when left out.",
        "ports": "Host ports that lead inside.",
    },
    "PortMapping": {
        "containerPort": "The workload's port.",
        "hostPort": "The machine's port; one workload has it at a time. 0: the machine chooses one, and keeps it.",
        "protocol": "tcp (when left out) or udp.",
        "hostAddress": "The address of the machine on which the port answers: all of them when left out.",
    },
    "VolumeMount": {
        "volumeName": "The volume.",
        "mountPath": "Where it is inside.",
        "readOnly": "Whether it cannot be written there.",
    },
    "Volume": {
        "name": "The volume's name.",
        "size": "Its size, with a unit: 512MiB, 2GiB. Grows only.",
    },
}
