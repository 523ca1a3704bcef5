"""System calls that Python 3.11 does not offer, by ctypes: namespaces, mounts, capabilities, privileges.

Runs in the zygote, before anything untrusted does. Each function raises `OSError` with the call's name where the kernel
refuses. Imports the standard library alone: the zygote is a bare interpreter.
"""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_RELATIME = 0x200000

MNT_DETACH = 0x2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE, PR_CAP_AMBIENT_CLEAR_ALL = 2, 4

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
LAST_CAPABILITY = 63
"""More than any kernel has."""


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor: int, kind: int) -> None:
    _check(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            kind.encode() or None,
            ctypes.c_ulong(flags),
            options.encode() or None,
        ),
        f"mount {kind or source} on {target}",
    )


def bind(source: str, target: str) -> None:
    """Show `source` at `target` too, read-only; what is mounted beneath it is not shown."""
    mount(source, target, "", MS_BIND)
    # A user namespace may not take back what the mount already forbids, so those flags are said again.
    kept = 0
    now = os.statvfs(target).f_flag
    for flag, bit in (
        (os.ST_NOSUID, MS_NOSUID),
        (os.ST_NODEV, MS_NODEV),
        (os.ST_NOEXEC, MS_NOEXEC),
        (os.ST_NOATIME, MS_NOATIME),
        (os.ST_NODIRATIME, MS_NODIRATIME),
        (os.ST_RELATIME, MS_RELATIME),
    ):
        kept |= bit if now & flag else 0
    mount("none", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | kept)


def umount(target: str, flags: int = 0) -> None:
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)), f"umount {target}")


def pivot_root_here(machine: str) -> None:
    """Make the current folder, a mount of its own, the root, and let go of the old one."""
    number = _PIVOT_ROOT[machine]
    _check(_libc.syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    umount(".", MNT_DETACH)  # the old root lies on top of the new one now
    os.chdir("/")


def prctl(option: int, second: int = 0, third: int = 0) -> None:
    _check(
        _libc.prctl(
            ctypes.c_int(option),
            ctypes.c_ulong(second),
            ctypes.c_ulong(third),
            ctypes.c_ulong(0),
            ctypes.c_ulong(0),
        ),
        "prctl",
    )


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


_HEADER = _CapHeader(0x20080522, 0)


def keep_capabilities() -> None:
    """Keep the capabilities that a new user namespace gave, over the next `execve` too."""
    held = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, twice
    _check(_libc.capget(ctypes.byref(_HEADER), ctypes.byref(held)), "capget")
    held[2], held[5] = held[1], held[4]
    _check(_libc.capset(ctypes.byref(_HEADER), ctypes.byref(held)), "capset")
    for capability in range(LAST_CAPABILITY + 1):
        if held[1 if capability < 32 else 4] >> capability % 32 & 1:
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def drop_capabilities() -> None:
    """Give up every capability for good: those held, and with `drop_bounding_capabilities` those to be gained."""
    _check(_libc.capset(ctypes.byref(_HEADER), ctypes.byref((ctypes.c_uint32 * 6)())), "capset")


def drop_bounding_capabilities() -> None:
    """No program that this process or its children execute can gain a capability."""
    for capability in range(LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # past the last that this kernel has
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2


def set_filter(program: bytes) -> None:
    """Filter this process's system calls, and those of all it starts, for good.

    Args:
        program: instructions of classic BPF, eight bytes each. `PR_SET_NO_NEW_PRIVS` is set.
    """
    filled = _FilterProgram(len(program) // 8, program)
    _check(
        _libc.prctl(
            ctypes.c_int(PR_SET_SECCOMP), ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(filled), 0, 0
        ),
        "prctl(PR_SET_SECCOMP)",
    )
