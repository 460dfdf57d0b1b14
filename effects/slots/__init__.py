"""The two slots of the operating system: what an update brings, what the disk has, and what the boot loader is told.

manifest           what a bundle says of itself, and what that must be like
signing            who says so
bundle             the bundle as it streams by
protocol           slots and boot loader as drivers
environment_block  the boot loader's variables, as bytes
fat                where a file's bytes lie on a FAT file system that is never mounted
grub_loader        the variables on the disk
one_shot           its one boot of another slot, taken back
partitions         the slots on the disk
twin               both in memory
"""
