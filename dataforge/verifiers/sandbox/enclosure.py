"""The way in: new namespaces, a root of our own, and a bare interpreter started inside them.

Runs as a script of a bare interpreter, with one end of a socket pair as its argument:

    grader ──Popen──► this: unshare ─► ids mapped by the grader ─► root built, pivoted ─► fork
                          │                                                               │
                          waits, so that there is one process to kill                     execve: the zygote, pid 1

Any failure is told to the grader as a fault of the machine. Nothing untrusted runs here.
"""

# pathlib is not worth its import in an interpreter that lives for milliseconds:
# ruff: noqa: PTH102, PTH103, PTH112, PTH120, PTH123, PTH211

from __future__ import annotations

import os
import platform
import signal
import socket
import sys
from typing import Any

from dataforge.verifiers.sandbox import kernel, wire

BOOTSTRAP = """
import sys, types
folder = sys.argv[1]
for name in ('dataforge', 'dataforge.verifiers', 'dataforge.verifiers.sandbox'):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = []
sys.modules[name].__path__ = [folder]
import importlib
importlib.import_module(name + '.' + sys.argv[2]).main()
"""
"""Import a module of this package without its parents, whose `__init__` need packages that a bare interpreter lacks."""

CONTROL = 3
"""The descriptor of the control socket in the zygote."""

PROC = 4
"""The descriptor of /proc in the zygote; programs never get it, and the new root has no /proc."""

CODE = "/python/sandbox"
"""Where the zygote finds this package; gone from the root before the first program."""

ALL_NEW = (
    kernel.CLONE_NEWUSER
    | kernel.CLONE_NEWNS
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
)

_STUBS = {
    "/etc/passwd": "program:x:1000:1000::/tmp:/none\n",
    "/etc/group": "program:x:1000:\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
}
_DEVICES = ("null", "zero", "full", "random", "urandom")


def main() -> None:
    """Enter, and start the zygote."""
    given = int(sys.argv[3])
    if given != CONTROL:
        os.dup2(given, CONTROL)
        os.close(given)
    control = socket.socket(fileno=CONTROL)
    os.dup2(CONTROL, PROC)  # takes the place, so that nothing else is opened there
    try:
        config = _enter(control)
        child = os.fork()
    except Exception as error:  # noqa: BLE001 - whatever it is, the grader is to hear of it
        wire.send(control, {"fault": f"{type(error).__name__}: {error}"})
        sys.exit(1)
    if child == 0:
        _become_zygote(control, config)
    control.close()
    os.waitpid(child, 0)


def _enter(control: socket.socket) -> dict[str, Any]:
    kernel.unshare(ALL_NEW)
    wire.send(control, {"step": "unshared"})
    config, _ = wire.receive(control)  # by now the grader has written the maps of ids
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    _build_root(config)
    kernel.pivot_root_here(platform.machine())
    kernel.mount(
        "none",
        "/",
        "",
        kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV,
    )
    return config


def _build_root(config: dict[str, Any]) -> None:
    # Sources are opened before anything is mounted over the place where they are.
    binds = [
        *config["binds"],
        [config["code"], CODE],
        *([f"/dev/{name}", f"/dev/{name}"] for name in _DEVICES),
    ]
    opened = [(os.open(source, os.O_PATH), os.path.isdir(source), target) for source, target in binds]
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    root = "/tmp"  # noqa: S108 - in a mount namespace of our own, and hidden at once
    kernel.mount("root", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,nr_inodes=2000,mode=755")
    os.chdir(root)
    for folder in ("/tmp", "/dev", "/etc", "/lib"):  # noqa: S108
        os.mkdir("." + folder)
    for path, text in _STUBS.items():
        with open("." + path, "w") as file:
            file.write(text)
    for descriptor, is_folder, target in opened:
        if is_folder:
            os.makedirs("." + target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname("." + target), exist_ok=True)
            os.close(os.open("." + target, os.O_CREAT | os.O_WRONLY, 0o644))
        kernel.bind(f"/proc/self/fd/{descriptor}", "." + target)
        os.close(descriptor)
    for target in config["masked"]:
        kernel.mount(
            "none", "." + target, "tmpfs", kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV, "size=4k"
        )
    for target, source in config["links"]:
        os.symlink(source, "." + target)
    os.symlink("/tmp", "./dev/shm")  # noqa: S108 - POSIX semaphores live there, in the bounds of /tmp
    os.dup2(proc, PROC)
    os.close(proc)


def _become_zygote(control: socket.socket, config: dict[str, Any]) -> None:
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        kernel.keep_capabilities()
        os.closerange(PROC + 1, 1 << 16)
        # A fixed seed of hashes: a program that prints a set prints it alike in every run.
        environment = {"PYTHONHASHSEED": "0", "PYTHONHOME": "/python", "PYTHONUTF8": "1", "LANG": "C.UTF-8"}
        start = [*config["command"], "-S", "-s", "-P", "-B", "-c", BOOTSTRAP]
        arguments = [*start, CODE, "zygote", *config["path"]]
        os.execve(arguments[0], arguments, environment)  # noqa: S606
    except Exception as error:  # noqa: BLE001
        wire.send(control, {"fault": f"{type(error).__name__}: {error}"})
        os._exit(1)
