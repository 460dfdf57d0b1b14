"""Updates of the built disk under power cuts and under releases that are no good, on disks that were kept.

machine    a machine that was prepared once, and machines that go on from where its disk was kept
releases   updates with one thing wrong, made of the built one
life       one machine is updated, confirmed and rolled back, while its disk remembers every write (power/disk_log.py)
judge      what a disk says that lies there: what the boot loader would choose, whether that is whole, the journal
proofs     the kinds of runs: each begins with a disk, boots it, and says what was wrong
"""
