"""Inside the namespaces: a warm interpreter that forks once a program and never runs one itself.

    request (limits, descriptors) ─► fresh /tmp, fresh pid namespace ─► fork: init (pid 1), which reaps
                                                                     └► fork: the program (see `program`)
    the program ends, or the grader says so ─► init is killed, and with it all that runs there ─► /tmp is gone ─► report

It is pid 1 of a namespace of its own: if it dies, the kernel kills every program. It holds no data of any program: sources
and inputs come by descriptors that only the child reads.
"""

from __future__ import annotations

import os
import platform
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from dataforge.verifiers.sandbox import kernel, program, wire
from dataforge.verifiers.sandbox.enclosure import CODE, CONTROL, PROC
from dataforge.verifiers.sandbox.seccomp import instructions

_WARM_NAMES = """
    abc array base64 bisect calendar cmath collections collections.abc contextlib copy dataclasses datetime decimal enum
    fractions functools hashlib heapq io itertools json math operator queue random re statistics string struct sys
    textwrap threading time traceback types typing uuid
"""
"""What programs import most: loaded once here, shared by all of them untouched."""


def main() -> None:
    """Serve until the grader is gone."""
    control = socket.socket(fileno=CONTROL)
    control.set_inheritable(False)
    os.set_inheritable(PROC, False)
    try:
        spaces = _prepare()
    except Exception as error:  # noqa: BLE001 - whatever it is, the grader is to hear of it
        wire.send(control, {"fault": f"{type(error).__name__}: {error}"})
        sys.exit(1)
    wire.send(control, {"step": "ready", "pages": _address_space()})
    while True:
        try:
            request, descriptors = wire.receive(control)
        except EOFError:
            os._exit(0)
        if "kill" in request:
            continue  # the program was quicker
        try:
            answer = _serve(control, request, descriptors, spaces)
        except OSError as error:
            answer = {"fault": f"{type(error).__name__}: {error}"}
        finally:
            for descriptor in descriptors:
                _close(descriptor)
        wire.send(control, answer)


def _prepare() -> tuple[int, bytes]:
    """Warm up; the descriptor of this pid namespace, and the filter for programs."""
    import gc
    import importlib

    for name in _WARM_NAMES.split():
        importlib.import_module(name)
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(
            number, signal.SIG_DFL
        )  # what Python set; children begin with what any process begins with
    own = os.open("self/ns/pid", os.O_RDONLY, dir_fd=PROC)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    kernel.drop_bounding_capabilities()
    kernel.umount(CODE, kernel.MNT_DETACH)
    for name in [name for name in sys.modules if name.partition(".")[0] == "dataforge"]:
        del sys.modules[name]
    sys.path += sys.argv[3:]
    if os.getuid() == 0:
        os.setgroups([])
    os.environ.clear()
    os.environ.update({"HOME": "/tmp", "LANG": "C.UTF-8"})  # noqa: S108
    os.umask(0o022)
    # What is here now is never freed: the children need not touch it.
    gc.collect()
    gc.freeze()
    return own, instructions(platform.machine())


def _serve(
    control: socket.socket, request: dict[str, Any], descriptors: list[int], spaces: tuple[int, bytes]
) -> dict[str, Any]:
    own, rules = spaces
    began = time.process_time()
    kernel.mount(
        "tmp",
        "/tmp",  # noqa: S108
        "tmpfs",
        kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC,
        f"size={request['disk']},nr_inodes={request['files'] + 1},mode=700,uid={program.USER},gid={program.USER}",
    )
    init = child = watch = 0
    confined, confinement = os.pipe()
    try:
        kernel.setns(own, kernel.CLONE_NEWPID)
        kernel.unshare(kernel.CLONE_NEWPID)
        if (init := os.fork()) == 0:
            _init()
        if (child := os.fork()) == 0:
            program.become(request, descriptors, confinement, rules, PROC)
        os.close(confinement)
        confinement = -1
        for descriptor in descriptors:
            _close(descriptor)
        descriptors.clear()
        # The last that the child writes before it runs anything is that all of the confinement holds.
        said = b""
        while piece := os.read(confined, 4096):
            said += piece
        if said != program.CONFINED:
            return {
                "fault": said.decode(errors="replace") or "a program's process died before it was confined"
            }
        watch = os.pidfd_open(child)
        poll = select.poll()
        poll.register(control, select.POLLIN)
        poll.register(watch, select.POLLIN)
        while watch not in (ready := [descriptor for descriptor, _ in poll.poll()]):
            if control.fileno() in ready:
                wire.receive(
                    control
                )  # there is only one thing to say, or it is gone: EOFError ends this process
                os.kill(init, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
        child = 0
        os.kill(init, signal.SIGKILL)
        _, _, reaped = os.wait4(init, 0)
        init = 0
        cpu = used.ru_utime + used.ru_stime + reaped.ru_utime + reaped.ru_stime
        return {
            "status": status,
            "cpu": cpu,
            "own": time.process_time() - began,
            "peak": used.ru_maxrss * 1024,
        }
    finally:
        for process in filter(None, (init, child)):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            pass
        for descriptor in (confined, confinement, watch):
            _close(descriptor)
        try:
            kernel.umount("/tmp")  # noqa: S108
        except OSError:
            kernel.umount("/tmp", kernel.MNT_DETACH)  # noqa: S108


def _init() -> NoReturn:
    """The first process of a program's pid namespace: it reaps orphans until it is killed.

    It has no handlers, so the kernel drops every signal that comes from inside. What it reaped is in its own usage.
    """
    os.setsid()
    os.closerange(0, 1 << 10)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        signal.sigwaitinfo({signal.SIGCHLD})
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def _address_space() -> int:
    """Bytes of address space that the zygote has, and every program begins with."""
    descriptor = os.open("self/statm", os.O_RDONLY, dir_fd=PROC)
    try:
        return int(os.read(descriptor, 200).split()[0]) * os.sysconf("SC_PAGESIZE")
    finally:
        os.close(descriptor)


def _close(descriptor: int) -> None:
    if descriptor > 2:
        try:
            os.close(descriptor)
        except OSError:
            pass
