"""A forked child of the zygote: confine itself, say so, then be the program.

    descriptors 0, 1, 2 and one for a returned value; everything else closed
    limits ─► another user ─► no new privileges ─► no capabilities ─► the filter ─► "confined" ─► the program

From the word on, this process is untrusted, this file's code in it included: a program may patch or call whatever it
finds. That gains it nothing: what it does not know are the expected values, and those are in the grader's process.
"""

from __future__ import annotations

import atexit
import builtins
import json
import math
import os
import random
import resource
import sys
import threading
import types
from _sitebuiltins import Quitter
from collections.abc import Callable
from typing import Any, NoReturn

from dataforge.verifiers.sandbox import kernel
from dataforge.verifiers.sandbox.values import Unreadable, encode

USER = 1000
"""User and group of programs, as seen inside."""

CONFINED = b"confined"

RESULT = 3
"""The descriptor to which the value of a call is written."""


def become(
    request: dict[str, Any], descriptors: list[int], confinement: int, rules: bytes, proc: int
) -> NoReturn:
    """Turn this process into the program of a request.

    Args:
        request: the limits.
        descriptors: payload, stdin, stdout, stderr, result.
        confinement: where to say `CONFINED`, or what is wrong.
        rules: the filter.
        proc: the /proc outside, to say that this process is to die first where memory is short.
    """
    try:
        os.setsid()  # else `kill(0, …)` would reach the zygote's process group
        payload = _payload(descriptors[0])
        _first_to_die(proc)
        # The zygote's own descriptors are below all that it received, so none is overwritten before it is moved.
        assert min(*descriptors, confinement) > RESULT + 1
        for number, descriptor in enumerate((*descriptors[1:], confinement)):
            os.dup2(descriptor, number, inheritable=True)
        os.closerange(RESULT + 2, 1 << 10)
        os.chdir("/tmp")  # noqa: S108
        _limit(request)
        _drop_privileges()
        kernel.set_filter(rules)
        os.write(RESULT + 1, CONFINED)
        os.close(RESULT + 1)
    except BaseException as error:  # noqa: BLE001 - a child of the zygote must never go on as the zygote
        try:
            os.write(confinement, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(70)
    _be(payload)


def main() -> None:
    """Without a sandbox: the arguments are the limits and the descriptors of the payload and of the result."""
    request, payload, result = json.loads(sys.argv[3]), _payload(int(sys.argv[4])), int(sys.argv[5])
    os.dup2(result, RESULT)
    os.closerange(RESULT + 1, 1 << 10)
    _limit(request)
    sys.path += request["path"]
    _be(payload)


def _be(payload: dict[str, Any]) -> NoReturn:
    try:
        _end(_run if payload["kind"] == "run" else _call, payload)
    finally:
        os._exit(1)


def _payload(descriptor: int) -> dict[str, Any]:
    pieces = []
    os.lseek(descriptor, 0, os.SEEK_SET)
    while piece := os.read(descriptor, 1 << 20):
        pieces.append(piece)
    found = json.loads(b"".join(pieces))
    assert isinstance(found, dict)
    return found


def _first_to_die(proc: int) -> None:
    try:
        descriptor = os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=proc)
    except OSError:
        return  # it decides only whom the kernel kills first
    try:
        os.write(descriptor, b"1000")
    finally:
        os.close(descriptor)


def _limit(request: dict[str, Any]) -> None:
    limits = {
        "CPU": math.ceil(request["cpu"]) + 1,
        "AS": request["address_space"],
        "DATA": request["data"],
        "FSIZE": request["disk"],
        "NOFILE": request["open_files"],
        "CORE": 0,
        "STACK": 64 << 20,
        "MEMLOCK": 0,
        "MSGQUEUE": 0,
        "NICE": 0,
        "RTPRIO": 0,
    }
    if request["processes"]:
        limits["NPROC"] = request["processes"]
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is None:
            continue  # not on Linux, where only the unsafe way leads
        hard = resource.getrlimit(kind)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (least, least))


def _drop_privileges() -> None:
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


# ---- from here on, nothing is trusted


def _run(payload: dict[str, Any]) -> None:
    module = _module("__main__")
    exec(compile(payload["source"], "program.py", "exec", dont_inherit=True), module.__dict__)  # noqa: S102


def _call(payload: dict[str, Any]) -> None:
    name = payload["function"]
    module = _module("solution")
    exec(compile(payload["source"], "solution.py", "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    function = _function(module.__dict__, name)
    value = function(*payload["arguments"])
    try:
        told = b"=" + encode(value, payload["most"])
    except Unreadable as error:
        told = b"!" + str(error).encode()
    while told:
        told = told[os.write(RESULT, told) :]


def _function(found: dict[str, Any], name: str) -> Callable[..., Any]:
    if name not in found and "Solution" in found:
        method = getattr(found["Solution"](), name, None)
        if method is not None:
            return method  # type: ignore[no-any-return]
    if name not in found:
        os.write(RESULT, b"!there is no function `" + name.encode() + b"`")
        raise NameError(f"there is no function {name!r}")
    return found[name]  # type: ignore[no-any-return]


def _module(name: str) -> types.ModuleType:
    """A module of the program's own, in which it finds what any script finds."""
    random.seed(0)  # alike in every run, as the hashes are
    sys.argv = ["program.py"]
    for word in ("exit", "quit"):  # a bare interpreter lacks them, and scripts end by them
        setattr(builtins, word, Quitter(word, "Ctrl-D (i.e. EOF)"))
    module = types.ModuleType(name)
    module.__dict__["__builtins__"] = builtins
    sys.modules[name] = module
    sys.modules.setdefault("__main__", module)
    return module


def _end(work: Callable[[dict[str, Any]], None], payload: dict[str, Any]) -> NoReturn:
    """Do it and end as CPython ends: traceback, exit code, threads joined, exit handlers, buffers."""
    code = 0
    try:
        work(payload)
    except SystemExit as ended:
        code = _exit_code(ended.code)
    except BaseException:  # noqa: BLE001
        code = 1
        _show()
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001
        code = code or 120
    os._exit(code)


def _show() -> None:
    """Print the exception's traceback as CPython does, without this file's frames."""
    kind, error, trace = sys.exc_info()
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    assert kind is not None
    assert error is not None
    sys.excepthook(kind, error.with_traceback(trace), trace)


def _exit_code(given: Any) -> int:
    if given is None:
        return 0
    if isinstance(given, int):
        return given & 0xFF
    print(given, file=sys.stderr)  # noqa: T201
    return 1
