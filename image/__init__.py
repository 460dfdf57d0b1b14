"""Builds the bootable disk and the update bundle, without Docker, from the machine's own package sources.

    packages   what is in it, and where apt gets it
    base       the Debian root file system, kernel modules and locked Python packages in it, as one squashfs; cached
    house      Capsule's own code, compiled, appended to it
    initramfs  finds the root partition and makes it the root
    boot       kernel and initramfs as one raw image, and the boot loader's partition
    disk       the GPT disk
    modes      who may read and run what is in it
    sbom       what is inside, in SPDX
    bundle     the update

Each step is a function of files to a file; the slow ones are kept in a cache under a key of all that they depend on.
"""
