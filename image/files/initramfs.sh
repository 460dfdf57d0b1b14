#!/bin/busybox sh
# The way from the kernel to PID 1: drivers, the slot's root partition (capsule.root=PARTUUID=...), an overlay whose
# changes live in memory. What fails here ends in a reset: a system on trial leaves the one before, and the default is
# tried again, which is all there is against a disk that was slow, and nothing against one that is damaged.
PATH=/bin
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs -o mode=755 devtmpfs /dev

# Huge pages are for who asks for them, as a microVM's monitor does: other processes would hold 20 MiB each that they
# never use.
$B echo madvise >/sys/kernel/mm/transparent_hugepage/enabled

# A tentative boot tells the one after it how far it came: init/recorder.py has the place and the form. `record SECTOR
# KIND TEXT`; every record of the initramfs is one sector, at a place of its own.
record() {
    [ -n "$area" ] || return
    read -r now _ </proc/uptime
    read -r boot_id </proc/sys/kernel/random/boot_id
    $B echo "CAPSULE1 $update $boot_id ${now%.*}${now#*.}0 $2 $3" |
        $B dd of="$boot" bs=512 seek=$((area + $1)) conv=sync,notrunc,fsync 2>/dev/null
}

# Through the kernel, which tells every screen and serial line: /dev/console is the last of them alone.
fail() {
    record 2 failed "$1"
    $B echo "<2>capsule: $1. The machine is reset in 10 seconds" >/dev/kmsg
    $B sleep 10
    $B echo b >/proc/sysrq-trigger
    $B sleep 60
}

while read -r module; do
    $B insmod "/modules/$module" 2>/dev/null
done </modules/order

for word in $($B cat /proc/cmdline); do
    case $word in
        capsule.root=*) wanted=${word#capsule.root=} ;;
        capsule.slot=*) slot=${word#capsule.slot=} ;;
        capsule.default=*) default=${word#capsule.default=} ;;
        capsule.update=*) update=${word#capsule.update=} ;;
    esac
done
[ "$slot" != "$default" ] || update=
[ -z "$update" ] || $B echo "<5>capsule: tentative boot of update $update ($slot)" >/dev/kmsg

# A new system that hangs from here on is reset, and the old one is back. Whoever opens the watchdog and leaves without
# a word has it run on; PID 1 takes it over.
if [ -n "$update" ]; then
    while read -r module option; do
        [ "$module" = softdog.ko ] && [ -e /dev/watchdog ] && continue
        $B insmod "/modules/$module" $option 2>/dev/null
    done </modules/watchdogs
    [ -e /dev/watchdog ] && $B echo >/dev/watchdog
fi

[ -n "$wanted" ] || fail "the kernel's command line names no capsule.root"

# A disk may take a while until it is there, one on USB longest.
tries=0
until device=$(blkid -t "$wanted" -o device 2>/dev/null) && [ -n "$device" ]; do
    tries=$((tries + 1))
    [ $tries -le 300 ] || fail "no partition is $wanted"
    $B sleep 0.1
done
# A disk and its copy have one id: which of them is meant, nobody can tell.
set -- $device
[ $# -eq 1 ] || fail "$# partitions are $wanted ($*), so one disk is a copy of another: take all but one of them out"

# Its boot partition stands before its root. What the record's place holds is nothing, or records.
if [ -n "$update" ]; then
    number=${device##*[!0-9]}
    boot=${device%"$number"}$((number - 1))
    area=$(($($B blockdev --getsz "$boot") - 128))
    begins=$($B dd if="$boot" bs=512 skip="$area" count=1 2>/dev/null | $B tr -d '\000' | $B head -c 8)
    [ -z "$begins" ] || [ "$begins" = CAPSULE1 ] || area=
fi
record 0 initramfs

$B mount -t squashfs -o ro "$device" /lower || fail "$device cannot be mounted: its root image is damaged"
$B mount -t tmpfs -o mode=755,nosuid,nodev,size=50% tmpfs /run
$B mkdir -p /run/capsule/init /run/overlay/upper /run/overlay/work
$B chmod 700 /run/overlay
$B echo "$device" >/run/capsule/init/root
$B mount -t overlay -o lowerdir=/lower,upperdir=/run/overlay/upper,workdir=/run/overlay/work overlay /root ||
    fail "the overlay over $device cannot be mounted"
record 1 root
for place in dev proc sys run; do
    $B mount --move "/$place" "/root/$place"
done
exec $B switch_root /root /sbin/init
