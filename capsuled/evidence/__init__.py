"""What a tentative boot leaves for the boot after it, and how that reads it.

redacted    lines from anywhere as they may stand in the journal: bounded, escaped, without what looks like a secret
records     the recorder's area at the end of a boot partition (init/recorder.py writes it), taken apart
last_words  what the kernel kept over a reset, and what the watchdog remembers of one
keeping     what the tentative daemon itself keeps on /perm as it goes: stages, kernel's log, signs of life
gathering   all of it as one `Evidence`
forgetting  what is kept of updates that the state has forgotten
"""
