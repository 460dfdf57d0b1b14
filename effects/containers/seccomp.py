"""The default seccomp profile: an allow-list of system calls, by what they are for. Pure.

Source of the format: `linux.seccomp` of the OCI runtime specification 1.0.2. Whatever stands in no list is refused with
EPERM: mounting, namespaces, keyrings, modules, kexec, raw clocks, io_uring. What a capability is there to allow is let
through with that capability. A name that a kernel or an architecture does not have is passed over by the runtime.
"""

from collections.abc import Collection
from typing import Any

FILES = """
access chdir chmod chown chown32 close close_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fadvise64_64
arm_fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64
fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate
ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init inotify_init1
inotify_rm_watch lchown lchown32 lgetxattr link linkat listxattr listxattrat llistxattr lremovexattr lseek _llseek
lsetxattr lstat lstat64 memfd_create memfd_secret mkdir mkdirat mknod mknodat name_to_handle_at newfstatat oldfstat
oldlstat oldstat open openat openat2 readlink readlinkat removexattr removexattrat rename renameat renameat2 rmdir
setxattr setxattrat stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range sync_file_range2
arm_sync_file_range syncfs truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes
"""
TRANSFERS = """
cachestat copy_file_range epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
epoll_wait_old eventfd eventfd2 io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit
ioctl ioprio_get ioprio_set pipe pipe2 poll ppoll ppoll_time64 pread64 preadv preadv2 pselect6 pselect6_time64 pwrite64
pwritev pwritev2 read readahead readv select _newselect sendfile sendfile64 signalfd signalfd4 splice tee
timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 vmsplice write writev
"""
SOCKETS = """
accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg
send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
"""
MEMORY = """
brk cacheflush madvise map_shadow_stack membarrier mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync
munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages
"""
PROCESSES = """
arch_prctl breakpoint capget capset execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait
futex_waitv futex_wake get_robust_list get_thread_area getcpu getpgid getpgrp getpid getppid getpriority getrlimit
getrusage getsid gettid kill landlock_add_rule landlock_create_ruleset landlock_restrict_self modify_ldt pause
pidfd_open pidfd_send_signal prctl prlimit64 process_vm_readv process_vm_writev ptrace restart_syscall rseq
rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
sched_setparam sched_setscheduler sched_yield seccomp set_robust_list set_thread_area set_tid_address set_tls setpgid
setpriority setrlimit setsid sigaction sigaltstack signal sigpending sigprocmask sigreturn sigsuspend sysinfo tgkill
times tkill ugetrlimit uname vfork wait4 waitid waitpid
"""
IDENTITIES = """
getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid getresuid32
getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32
setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32
"""
TIME = """
adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
clock_nanosleep clock_nanosleep_time64 getitimer getrandom gettimeofday nanosleep setitimer time timer_create
timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
"""
MESSAGES = """
ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
"""
ALWAYS = (FILES, TRANSFERS, SOCKETS, MEMORY, PROCESSES, IDENTITIES, TIME, MESSAGES)

WITH = {
    "BPF": "bpf",
    "DAC_READ_SEARCH": "open_by_handle_at",
    "PERFMON": "perf_event_open",
    "SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount
        open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
    """,
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module finit_module init_module",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "SYS_RAWIO": "ioperm iopl",
    "SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "SYS_TTY_CONFIG": "vhangup",
    "SYSLOG": "syslog",
}
"""By capability, without CAP_."""

_EPERM, _ENOSYS = 1, 38
_AF_VSOCK = 40
_NEW_NAMESPACES = 0x7E02_0000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET."""
_PERSONALITIES = (0x0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF)
"""Linux, a 32-bit uname, both with the old layout of addresses, and the question which one it is."""
# Without x32: the runtime compiles the list for each of these at every start and every exec, and no image is made for
# it. Such a call is none of x86_64's to a filter that does not name it: it ends the process.
_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}


def profile(capabilities: Collection[str], architecture: str) -> dict[str, Any] | None:
    """`linux.seccomp` for a process with these capabilities (without CAP_) on this machine (as uname names it).

    None where the list was never tried: an architecture that nobody here knows gets no filter rather than a wrong one.
    """
    if architecture not in _ARCHITECTURES:
        return None
    names = {name for family in ALWAYS for name in family.split()}
    for capability, more in WITH.items():
        if capability in capabilities:
            names |= set(more.split())
    calls: list[dict[str, Any]] = [_allow(sorted(names))]
    calls += [_allow(["personality"], _argument(0, value, "SCMP_CMP_EQ")) for value in _PERSONALITIES]
    # A guest's channel to its host is nothing for a container.
    calls.append(_allow(["socket"], _argument(0, _AF_VSOCK, "SCMP_CMP_NE")))
    if "clone" not in names:
        calls.append(_allow(["clone"], _argument(0, _NEW_NAMESPACES, "SCMP_CMP_MASKED_EQ", 0)))
        # Its flags are behind a pointer, which a filter cannot follow: libraries fall back to clone.
        calls.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _EPERM,
        "architectures": list(_ARCHITECTURES[architecture]),
        "syscalls": calls,
    }


def _allow(names: list[str], *arguments: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ALLOW"}
    return {**rule, "args": list(arguments)} if arguments else rule


def _argument(index: int, value: int, operator: str, second: int = 0) -> dict[str, Any]:
    return {"index": index, "value": value, "valueTwo": second, "op": operator}
