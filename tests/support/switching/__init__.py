"""Updates of the built disk under power cuts and under releases that are no good, on disks that were kept.

machine    a machine that was prepared once, and machines that go on from where its disk was kept
releases   updates with one thing wrong, made of the built one
life       one machine is updated, confirmed and rolled back, while its disk remembers every write
disk_log   that log, and the disk that a power cut at any of its writes would have left
judge      what a disk says that lies there: what the boot loader would choose, whether that is whole, the journal
proofs     the kinds of runs: each begins with a disk, boots it, and says what was wrong
"""
