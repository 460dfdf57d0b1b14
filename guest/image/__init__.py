"""Builds what a microVM boots, from Debian's packages and the environment's own Python packages: `make guest-image`.

    vmlinux        Debian's cloud kernel, unpacked: QEMU loads it as it is, and nothing is unpacked while a VM boots
    initrd         what stands between the kernel and the payload: Python's core, the agent's PID 1, the modules
    root.squashfs  what the service needs on top, mounted once the payload runs
    manifest       what is in them, and of which versions

The same packages give the same bytes: names are sorted, times are zero, nothing of the building machine is in them.
"""
