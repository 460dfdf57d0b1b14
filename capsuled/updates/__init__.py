"""Updates of the system: the other slot written, booted once, and kept or left.

level       what this release reads, and what stands in the journal
switching   the boot loader told: intent, act, fact
receiving   a bundle, from its first byte to the boot loader's one-shot
at_boot     what a start of the daemon makes of journal and boot loader
trial       a new system judged until it is confirmed or goes back
runtime_files  containerd's own records over a trial
fitting     updates fitted to the machine
updates     these as one, for the servicers
"""
