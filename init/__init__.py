"""PID 1: the half of the operating system that must never die, and so does almost nothing.

It mounts what a process expects, starts the daemon, hands signals on, reaps everything, pets the watchdog while the
daemon answers, starts the daemon again when it ends, and switches the machine off. It imports little of the standard
library and nothing else: a fault in LMDB's map, in gRPC or in Python code of ours kills the daemon, never the machine.

    life      how one daemon after the other is judged: pure, times are handed in
    trial     how long a new system is given
    words     what the daemon says to PID 1, by a pipe
    mounts    the kernel's own file systems
    console   every screen and serial line that the kernel writes to
    watchdog  the device that resets a machine on which nobody answers
    records   how a daemon ended, for the next one to remember
    ending    everything ended and unmounted, and the machine off
    main      the loop
"""
