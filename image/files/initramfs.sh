#!/bin/busybox sh
# The way from the kernel to PID 1: drivers, the slot's root partition (capsule.root=PARTUUID=...), an overlay whose
# changes live in memory. What fails here ends in a reset, so that the boot loader can try the other slot.
PATH=/bin
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs -o mode=755 devtmpfs /dev

fail() {
    $B echo "capsule: $1. The machine is reset in 10 seconds" >/dev/console
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
    esac
done
[ -n "$wanted" ] || fail "the kernel's command line names no capsule.root"

# A disk may take a while until it is there, one on USB longest.
tries=0
until device=$(blkid -t "$wanted" -o device 2>/dev/null | $B head -n 1) && [ -n "$device" ]; do
    tries=$((tries + 1))
    [ $tries -le 300 ] || fail "no partition is $wanted"
    $B sleep 0.1
done

$B mount -t squashfs -o ro "$device" /lower || fail "$device cannot be mounted: its root image is damaged"
$B mount -t tmpfs -o mode=755,nosuid,nodev,size=50% tmpfs /run
$B mkdir -p /run/capsule/init /run/overlay/upper /run/overlay/work
$B chmod 700 /run/overlay
$B echo "$device" >/run/capsule/init/root
$B mount -t overlay -o lowerdir=/lower,upperdir=/run/overlay/upper,workdir=/run/overlay/work overlay /root ||
    fail "the overlay over $device cannot be mounted"
for place in dev proc sys run; do
    $B mount --move "/$place" "/root/$place"
done
exec $B switch_root /root /sbin/init
