"""What of this machine a sandbox gets to see: the interpreter, its standard library, and the shared libraries they load.

Asked once of a bare interpreter that imports every extension module and then looks what the loader has mapped, so it
holds on any distribution, without a list of libraries of ours. Libraries keep all the names that their folder has for them.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from dataforge.verifiers.sandbox.limits import IsolationError

HOME = "/python"
"""Where the interpreter lives in a sandbox."""

_PROBE = """
import importlib, json, os, sys
for folder in sys.path + sys.argv[1:]:
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) and 'dynload' in folder else []:
        name = name.partition('.')[0]
        if not name.startswith(('_test', '_xx', 'xx', '_tkinter', 'readline', '_ctypes_test')):
            try:
                importlib.import_module(name)
            except Exception:
                pass
import ctypes
# What threads that end, and extension modules in general, ask the loader for.
for name in ('gcc_s.so.1', 'rt.so.1', 'dl.so.2', 'pthread.so.0', 'util.so.1', 'm.so.6', 'stdc++.so.6', 'gomp.so.1'):
    try:
        ctypes.CDLL('lib' + name)
    except OSError:
        pass
if sys.argv[1:]:
    sys.path += sys.argv[1:]
    try:
        import numpy
    except Exception:
        pass
mapped = {line.split(None, 5)[5].strip() for line in open('/proc/self/maps') if '/' in line}
print(json.dumps({
    'executable': os.path.realpath('/proc/self/exe'), 'stdlib': os.path.dirname(os.__file__), 'prefix': sys.base_prefix,
    'mapped': sorted(path for path in mapped if '.so' in os.path.basename(path)), 'path': sys.path,
}))
"""


@dataclass(frozen=True, slots=True)
class Outfit:
    """Files to show in a sandbox.

    Attributes:
        binds: (path here, path there): shown read-only.
        links: (path there, what it points to).
        masked: folders there to be shown empty.
        command: what starts a bare interpreter in the sandbox.
        path: `sys.path` entries to add.
    """

    binds: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    masked: tuple[str, ...]
    command: tuple[str, ...]
    path: tuple[str, ...]


def interpreter() -> str:
    """The interpreter itself, where this one runs in a virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


def environment() -> dict[str, str]:
    """What a bare interpreter needs of this one's environment: where the loader is to look, if anything."""
    return {
        name: value for name, value in os.environ.items() if name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    }


@functools.cache
def outfit(packages: bool) -> Outfit:
    """What a sandbox shows; with `packages`, what is installed beside DataForge too.

    Raises:
        IsolationError: the interpreter cannot be asked.
    """
    site = sysconfig.get_paths()["purelib"]
    probe = subprocess.run(  # noqa: S603 - our own interpreter
        [interpreter(), "-I", "-S", "-c", _PROBE, *([site] if packages else [])],
        capture_output=True,
        env=environment(),
        check=False,
    )
    if probe.returncode != 0:
        raise IsolationError(
            f"the interpreter `{interpreter()}` does not say what it loads: {probe.stderr.decode(errors='replace')[-300:]}",
            help="the sandbox needs a CPython whose standard library is in a folder, and /proc",
        )
    found = json.loads(probe.stdout)
    stdlib, executable = found["stdlib"], found["executable"]
    there = str(Path(HOME, os.path.relpath(stdlib, found["prefix"])))
    binds = [(stdlib, there), (executable, f"{HOME}/bin/python")]
    binds += [
        (folder, str(Path(HOME, os.path.relpath(folder, found["prefix"]))))
        for folder in found["path"]
        if Path(folder).is_dir() and not Path(folder).is_relative_to(stdlib) and folder != site
    ]
    links: list[tuple[str, str]] = []
    loader = ""
    for library in found["mapped"]:
        if Path(library).is_relative_to(stdlib) or Path(library).is_relative_to(site):
            continue
        name = Path(library).name
        binds.append((library, f"/lib/{name}"))
        links += [
            (f"/lib/{other.name}", name)
            for other in Path(library).parent.iterdir()
            if other.name != name and other.is_symlink() and os.path.realpath(other) == library
        ]
        if name.startswith(("ld-", "ld.so", "ld64")):
            loader = f"/lib/{name}"
    masked = [there + tail for tail in ("/site-packages", "/dist-packages") if Path(stdlib + tail).is_dir()]
    path = []
    if packages:
        binds.append((site, f"{HOME}/packages"))
        path.append(f"{HOME}/packages")
    start = (loader, "--library-path", "/lib", f"{HOME}/bin/python") if loader else (f"{HOME}/bin/python",)
    return Outfit(tuple(binds), tuple(sorted(links)), tuple(masked), start, tuple(path))
