"""What the operating system adds to the daemon, between PID 1's start of it and the first answer of the API.

link        words to PID 1
stages      what each part of the boot took
modules     drivers for the hardware that is there
sysfs       what the kernel says of its devices
disks       disks and partitions, as the kernel names them
mode        whether the machine is to be installed first (capsuled/installer)
partitions  the disk's table, read and written
group       the volume group, found or made
filesystems what is in it, checked and mounted
growth      all of that, where the disk is larger
storage     the journal's and the state's file systems on the disk that booted
bring_up    from PID 1's start of the daemon to where an ordinary one begins, or to a console that says why not
ground      what that leaves for the daemon to stand on
hostname    the machine's name
ends        how former daemons of this boot ended, as PID 1 saw it
uplink      the link to the LAN, by DHCP or as the operator wrote it down
ntp         the right time
console     who and where the machine is, on its screen and its serial line
power       the machine's end, asked for by a call or by its button
system      these as one, which the wiring function keeps or leaves out
"""
