"""The seccomp filter: a program of classic BPF that lets through the calls of `syscalls` and nothing else.

    architecture? ──no──► the process is killed
    filtered call? ─────► its argument decides
    allowed range? ─yes─► let through
    newer than 5.1? ────► ENOSYS, so that libc falls back on an older call
    otherwise ──────────► EPERM

It fails closed: a call that nobody thought of is refused. `instructions` is pure; `run` executes a filter in Python, so that
tests can ask both architectures about any call.
"""

from __future__ import annotations

import struct

from dataforge.verifiers.sandbox.syscalls import ABSENT, ALLOWED, AUDIT_ARCH, FILTERED, NUMBERS

ALLOW = 0x7FFF0000
KILL = 0x80000000
EPERM = 0x00050000 | 1
ENOSYS = 0x00050000 | 38

NEWER = 424
"""The first number that all architectures share; calls from here on are of Linux 5.1 and later."""

X32 = 0x40000000
"""Set in the numbers of x86_64's second ABI, which nothing here uses."""

# Operations of classic BPF: load a word of `struct seccomp_data`, compare it with a constant, return.
_LOAD, _EQUAL, _GREATER, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_NUMBER, _ARCH = 0, 4

_NEW_NAMESPACES = 0x7E020000
_CLONE_PARENT, _CLONE_PTRACE = 0x8000, 0x2000
_CLONE_REFUSED = _NEW_NAMESPACES | _CLONE_PARENT | _CLONE_PTRACE

_HARMLESS: dict[str, tuple[int, tuple[int, ...]]] = {
    # The place of the argument that decides, and the values with which the call is let through.
    "ioctl": (
        1,
        (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451),
    ),  # TCGETS, winsize, FIONREAD, FIO(NBIO|NCLEX|CLEX)
    "fcntl": (
        1,
        (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032),
    ),  # descriptors, flags, locks; no owners, no leases
    "prctl": (0, (1, 2, 3, 15, 16, 21, 23, 30, 39)),  # a thread's name, and questions
    "socketpair": (0, (1,)),  # AF_UNIX: asyncio wakes its loop by one
}


def instructions(machine: str) -> bytes:
    """The filter for an architecture, eight bytes an instruction.

    Raises:
        KeyError: there is no table for the architecture.
    """
    numbers = NUMBERS[machine]
    code = [
        _op(_LOAD, _ARCH),
        _op(_EQUAL, AUDIT_ARCH[machine], 1, 0),
        _op(_RETURN, KILL),
        _op(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        code += [_op(_AT_LEAST, X32, 0, 1), _op(_RETURN, KILL)]
    for name in FILTERED:
        block = _decide(name)
        code += [_op(_EQUAL, numbers[name], 0, len(block)), *block]
    for name in ABSENT:
        code += [_op(_EQUAL, numbers[name], 0, 1), _op(_RETURN, ENOSYS)]
    for low, high in _ranges(sorted(numbers[name] for name in ALLOWED if name in numbers)):
        code += [_op(_AT_LEAST, low, 0, 2), _op(_GREATER, high, 1, 0), _op(_RETURN, ALLOW)]
    code += [_op(_AT_LEAST, NEWER, 0, 1), _op(_RETURN, ENOSYS), _op(_RETURN, EPERM)]
    return b"".join(code)


def run(program: bytes, arch: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel would answer to a call: one of the constants above."""
    data = struct.pack("<iIQ6Q", number & 0x7FFFFFFF, arch, 0, *(*arguments, *(0,) * (6 - len(arguments))))
    at = accumulator = 0
    while True:
        code, yes, no, constant = struct.unpack_from("<HBBI", program, at * 8)
        at += 1
        if code == _LOAD:
            (accumulator,) = struct.unpack_from("<I", data, constant)
        elif code == _RETURN:
            return int(constant)
        else:
            holds = {
                _EQUAL: accumulator == constant,
                _GREATER: accumulator > constant,
                _AT_LEAST: accumulator >= constant,
                _ANY_BIT: bool(accumulator & constant),
            }[code]
            at += yes if holds else no


def _decide(name: str) -> list[bytes]:
    """Load the argument that decides; every way through ends in a return."""
    if name == "clone":
        return [
            _op(_LOAD, _argument(0)),
            _op(_ANY_BIT, _CLONE_REFUSED, 0, 1),
            _op(_RETURN, EPERM),
            _op(_RETURN, ALLOW),
        ]
    place, values = _HARMLESS[name]
    tests = [step for value in values for step in (_op(_EQUAL, value, 0, 1), _op(_RETURN, ALLOW))]
    return [_op(_LOAD, _argument(place)), *tests, _op(_RETURN, EPERM)]


def _argument(place: int) -> int:
    """Where the low word of an argument lies; the kernel itself reads no more of those that are looked at."""
    return 16 + 8 * place


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _op(code: int, constant: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, constant)
