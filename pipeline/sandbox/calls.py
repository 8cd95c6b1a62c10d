"""The filter of system calls in a sandbox, as a program for seccomp.

It refuses calls that an unprivileged program does not need and that namespaces do not contain:
other processes' memory, keyrings (which have no namespace), BPF, io_uring, tracing, mounts, new
namespaces, sockets of other families than these four (vsock reaches the host from any network
namespace), typing into a terminal. It also refuses memory that belongs to no process and no file,
since it can't be counted: System V segments and queues, and memfds (one sent over a socket and
closed is in no list). Calls newer than this table, and x32's, answer as on an old kernel.

Source: Linux, "Seccomp BPF"; the tables of system calls of x86_64 and of asm-generic.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence

from pipeline.errors import CouldNotCheck

_NEWEST = 462  # mseal, Linux 6.10: numbers are the same everywhere from 424 on

# Name → number on x86_64, number in asm-generic (None if it has none).
_FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
# Programs work without these, or use an older call; no filter can see the flags of `clone3`.
_ABSENT: dict[str, tuple[int, int]] = {
    "clone3": (435, 435),
    "io_uring_setup": (425, 425),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "msgget": (68, 186),
    "semget": (64, 190),
    "shmget": (29, 194),
}
_CLONE, _IOCTL, _MMAP, _SOCKET = (56, 220), (16, 29), (9, 222), (41, 198)
_NEW_NAMESPACES = 0x7E02_0000  # CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET
_TYPING = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_MAP_HUGETLB = 0x40000
_FAMILIES = (1, 2, 10, 16)  # unix, IPv4, IPv6, and netlink, which lists interfaces

# Architecture → the kernel's number for it, and the column above.
_ARCHITECTURES = {
    "x86_64": (0xC000_003E, 0),
    "aarch64": (0xC000_00B7, 1),
    "riscv64": (0xC000_00F3, 1),
}

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_GREATER, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_KILL, _ERRNO, _ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in `struct seccomp_data`

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, value


def filter_of(machine: str) -> bytes:
    """The program for a machine, as an array of `struct sock_filter`.

    Raises CouldNotCheck for a machine whose calls are unknown.
    """
    if machine not in _ARCHITECTURES:
        raise CouldNotCheck(
            f"there is no sandbox for {machine}: its system calls are not known",
            help=f"run it on one of {', '.join(_ARCHITECTURES)}",
        )
    architecture, column = _ARCHITECTURES[machine]
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        # This covers x32, whose numbers are above all others.
        (_JUMP_IF_GREATER, 0, 1, _NEWEST),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for table, answer in ((_FORBIDDEN, errno.EPERM), (_ABSENT, errno.ENOSYS)):
        for numbers in table.values():
            if (number := numbers[column]) is not None:
                program += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | answer)]
    flags = (_JUMP_IF_SET, 0, 1, _NEW_NAMESPACES)
    program += _with_argument(_CLONE[column], 0, [flags, (_RETURN, 0, 0, _ERRNO | errno.EPERM)])
    typing = [
        step
        for request in _TYPING
        for step in ((_JUMP_IF_EQUAL, 0, 1, request), (_RETURN, 0, 0, _ERRNO | errno.EPERM))
    ]
    program += _with_argument(_IOCTL[column], 1, typing)
    huge = (_JUMP_IF_SET, 0, 1, _MAP_HUGETLB)
    program += _with_argument(_MMAP[column], 3, [huge, (_RETURN, 0, 0, _ERRNO | errno.ENOMEM)])
    known = [(_JUMP_IF_EQUAL, len(_FAMILIES) - at, 0, f) for at, f in enumerate(_FAMILIES)]
    other = (_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT)
    program += _with_argument(_SOCKET[column], 0, [*known, other])
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in program)


def _with_argument(number: int, argument: int, steps: Sequence[Instruction]) -> list[Instruction]:
    """Steps that judge the lower half of one argument of one call, in a little-endian machine."""
    load = (_LOAD, 0, 0, _ARGUMENTS + 8 * argument)
    return [
        (_JUMP_IF_EQUAL, 0, len(steps) + 2, number),
        load,
        *steps,
        (_LOAD, 0, 0, _NUMBER),
    ]
