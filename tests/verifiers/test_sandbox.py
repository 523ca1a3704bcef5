"""The sandbox as its callers see it: results, limits, the pool, threads, forks, faults, and the parts that can be tested alone."""

from __future__ import annotations

import asyncio
import math
import os
import platform
import signal
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.errors import InputError
from dataforge.verifiers.sandbox import (
    IsolationError,
    Limits,
    cgroups,
    container,
    pool,
    run_program,
    seccomp,
    session,
    syscalls,
)
from dataforge.verifiers.sandbox.tally import Tally
from dataforge.verifiers.sandbox.values import Unreadable, decode, encode

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is made of Linux namespaces"),
    pytest.mark.usefixtures("isolation"),
]


# ---- what a program gives


def test_a_script_reads_prints_and_ends() -> None:
    run = run_program(
        "import sys\nprint(input()[::-1])\nprint('warned', file=sys.stderr)\nsys.exit(3)", stdin="größe\n"
    )
    assert (run.status, run.exit_code, run.signal) == ("error", 3, None)
    assert (run.stdout, run.stderr) == ("eßörg\n", "warned\n")
    assert 0 < run.cpu_s < 1


def test_a_traceback_shows_the_program_alone() -> None:
    run = run_program("def f():\n    return 1 // 0\n\nf()\n")
    assert run.stderr.splitlines() == [
        "Traceback (most recent call last):",
        '  File "program.py", line 4, in <module>',
        '  File "program.py", line 2, in f',
        "ZeroDivisionError: integer division or modulo by zero",
    ]


@pytest.mark.parametrize(
    ("source", "status", "code", "out"),
    [
        ("print(1)", "ok", 0, "1\n"),
        ("print(1); exit()", "ok", 0, "1\n"),
        ("print(1); raise SystemExit", "ok", 0, "1\n"),
        ("import os; print(1, flush=True); os._exit(0)", "ok", 0, "1\n"),
        ("print(1); raise SystemExit('no')", "error", 1, "1\n"),
        ("print(1); raise SystemExit(300)", "error", 44, "1\n"),
        ("print(1); 1 // 0", "error", 1, "1\n"),
        ("x = = 1", "error", 1, ""),
        ("\0", "error", 1, ""),
        ("'\ud800'", "error", 1, ""),
        ("import threading\nthreading.Thread(target=lambda: print('late')).start()", "ok", 0, "late\n"),
        ("import atexit\natexit.register(print, 'last')", "ok", 0, "last\n"),
        ("if __name__ == '__main__': print('main')", "ok", 0, "main\n"),
        ("import sys; print(sys.argv, __name__, sys.stdin.read() == '')", "ok", 0, "['program.py'] __main__ True\n"),
    ],
)  # fmt: skip
def test_a_script_ends_as_under_cpython(source: str, status: str, code: int, out: str) -> None:
    run = run_program(source)
    assert (run.status, run.exit_code, run.stdout) == (status, code, out), run


def test_the_standard_library_is_there() -> None:
    run = run_program(
        "import asyncio, bz2, concurrent.futures, csv, ctypes, decimal, hashlib, lzma, multiprocessing, sqlite3, ssl, tempfile, zlib\n"
        "async def f(): await asyncio.sleep(0); return 1\n"
        "def square(x): return x * x\n"
        "with concurrent.futures.ThreadPoolExecutor(3) as e: print(list(e.map(square, range(4))))\n"
        "with multiprocessing.Pool(2) as p: print(p.map(square, range(4)))\n"
        "with tempfile.TemporaryFile() as f2: f2.write(b'x' * 1000)\n"
        "print(asyncio.run(f()), sqlite3.connect(':memory:').execute('select 2').fetchone())\n"
    )
    assert run.stdout == "[0, 1, 4, 9]\n[0, 1, 4, 9]\n1 (2,)\n", run


def test_runs_are_alike() -> None:
    source = (
        "import random\nprint(random.random(), hash('x'), {'b', 'a', 'c', 'd'}, sorted(map(hash, 'abc')))"
    )
    assert len({run_program(source).stdout for _ in range(3)}) == 1
    pool.close()
    assert len({run_program(source).stdout for _ in range(2)}) == 1


def test_large_input_and_output_pass_whole() -> None:
    text = "0123456789" * 200_000
    run = run_program(
        "import sys; sys.stdout.write(sys.stdin.read())", stdin=text, limits=Limits(output_bytes=len(text))
    )
    assert run.status == "ok"
    assert run.stdout == text


def test_input_that_is_not_read_hinders_nothing() -> None:
    assert run_program("print(1)", stdin="x" * 2_000_000).stdout == "1\n"
    assert run_program("import os; os.close(0); print(1)", stdin="x" * 2_000_000).stdout == "1\n"


def test_output_that_is_not_text_is_replaced() -> None:
    assert run_program("import os; os.write(1, b'a\\xff\\n')").stdout == "a\ufffd\n"


def test_packages_are_visible_where_asked_for() -> None:
    import pydantic

    if not Path(pydantic.__file__).is_relative_to(sysconfig.get_paths()["purelib"]):
        pytest.skip("this environment has its packages elsewhere")
    source = "import pydantic; print(pydantic.BaseModel.__name__)"
    assert run_program(source).status == "error"
    assert run_program(source, packages=True, limits=Limits(memory_bytes=512 << 20)).stdout == "BaseModel\n"


# ---- calls


@pytest.mark.parametrize(
    "value",
    ["None", "True", "0", "-7", "10 ** 5000", "1.5", "float('inf')", "-0.0", "''", "'ü😀\\ud800\\n'", "[1, (2, [True, None])]", "{'a': {'b': [1.0]}}"],
)  # fmt: skip
def test_a_value_comes_back_as_it_is(value: str) -> None:
    with session() as box:
        run = box.call(f"def f():\n    return {value}", "f", [])
    assert run.returned is not None, run
    assert (
        repr(run.returned.value) == repr(eval(value)) if len(value) != 10 else run.returned.value == 10**5000
    )


def test_arguments_arrive() -> None:
    with session() as box:
        run = box.call("def f(*a): return list(a)", "f", [1, 1.0, True, None, "ß", [1, {"k": [2]}], math.inf])
    assert run.returned is not None
    assert repr(run.returned.value) == repr([1, 1.0, True, None, "ß", [1, {"k": [2]}], math.inf])


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("def f(): return object()", "a `object` is no plain value"),
        ("def f(): return {1, 2}", "a `set` is no plain value"),
        ("def f(): return b'x'", "a `bytes` is no plain value"),
        ("def f(): yield 1", "a `generator` is no plain value"),
        ("def f():\n    x = []\n    for _ in range(100000): x = [x]\n    return x", "the value is nested too deeply"),
        ("def f():\n    x = []; x.append(x); return x", "the value is nested too deeply"),
        ("def f(): return ['x' * 1000] * 10000", "the value is too large"),
        ("def f(): return {(1,): 2}", "a dictionary has keys that are neither text nor whole numbers"),
        ("def f(): return {1: 2, '1': 3}", "a dictionary has a key twice"),
        ("def g(): return 1", "there is no function `f`"),
        ("import os\ndef f(): os._exit(0)", "the program ended before the function returned"),
        ("import os\ndef f():\n    os.write(3, b'=i1\\n'); return 2", "what came back is no value"),
        ("import os\ndef f():\n    os.write(3, b'=l9\\ni1\\n'); os._exit(0)", "the value is cut off"),
        ("import os\ndef f():\n    os.write(3, b'\\x80\\x04.'); os._exit(0)", "the program ended before the function returned"),
    ],
)  # fmt: skip
def test_what_is_no_value_is_a_fault_of_the_program(source: str, fault: str) -> None:
    with session() as box:
        run = box.call(source, "f", [])
    assert run.status == "error"
    assert run.returned is None
    assert run.fault == fault


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
@settings(max_examples=150, deadline=None)
def test_values_survive_the_way(value: Any) -> None:
    assert repr(decode(encode(value, 1 << 20))) == repr(value)


@given(st.binary(max_size=60) | st.text("ntlbidfs0123456789-ae\n", max_size=60).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_garbage_is_never_believed_nor_a_crash(data: bytes) -> None:
    try:
        decode(data)
    except Unreadable:
        pass


def test_colliding_keys_cost_nothing() -> None:
    """Whole numbers that are equal modulo 2⁶¹-1 hash alike: 20,000 of them would take a dictionary minutes."""
    data = b"d20000\n" + b"".join(b"i%x\nn\n" % (n * (2**61 - 1)) for n in range(1, 20001))
    began = time.process_time()
    assert len(decode(data)) == 20000
    assert time.process_time() - began < 2


# ---- limits


def test_limits_that_make_no_sense_are_refused() -> None:
    for name, value in (
        ("cpu_s", 0),
        ("memory_bytes", 1000),
        ("processes", 0),
        ("wall_s", -1.0),
        ("open_files", 2),
    ):
        with pytest.raises(InputError, match=name) as failure:
            Limits(**{name: value})  # type: ignore[arg-type]
        assert failure.value.code == "V021"
        assert failure.value.help


def test_cpu_limit_is_cpu_time_and_not_wall_time() -> None:
    run = run_program("import time; time.sleep(0.6); print(1)", limits=Limits(cpu_s=0.2))
    assert run.status == "ok", run
    assert run.cpu_s < 0.2 < 0.6 <= run.wall_s


def test_cpu_limit_is_kept_in_parts_of_seconds() -> None:
    run = run_program("while True: pass", limits=Limits(cpu_s=0.1))
    assert run.status == "cpu"
    assert 0.1 <= run.cpu_s < 0.6


def test_usage_counts_children() -> None:
    run = run_program(
        "import os\nif os.fork() == 0:\n    sum(range(8_000_000)); os._exit(0)\nos.wait()",
        limits=Limits(cpu_s=10),
    )
    assert run.status == "ok"
    assert run.cpu_s > 0.05


def test_just_within_the_limits() -> None:
    run = run_program(
        "x = bytearray(b'x') * (100 << 20)\nopen('/tmp/f', 'wb').write(bytes(1 << 20))\nprint(len(x) >> 20)",
        limits=Limits(memory_bytes=160 << 20, disk_bytes=2 << 20),
    )
    assert (run.status, run.stdout) == ("ok", "100\n"), run


def test_output_is_cut_at_its_limit() -> None:
    run = run_program("while True: print('x' * 99)", limits=Limits(output_bytes=10_000))
    assert run.status == "output"
    assert len(run.stdout) == 10_000


# ---- the pool


def test_containers_are_used_again() -> None:
    pool.close()
    run_program("")
    before = _zygotes()
    for _ in range(5):
        run_program("")
    assert _zygotes() == before
    assert len(before) == 1


def test_many_threads_at_once() -> None:
    results: dict[int, str] = {}

    def work(n: int) -> None:
        results[n] = run_program(f"print({n} * 2)").stdout

    threads = [threading.Thread(target=work, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: f"{n * 2}\n" for n in range(24)}
    assert len(_zygotes()) <= 2 * (os.cpu_count() or 1)


def test_from_asyncio() -> None:
    async def main() -> list[str]:
        runs = await asyncio.gather(*(asyncio.to_thread(run_program, f"print({n})") for n in range(8)))
        return [run.stdout for run in runs]

    assert asyncio.run(main()) == [f"{n}\n" for n in range(8)]


def test_a_killed_zygote_is_replaced() -> None:
    run_program("")
    for zygote in _zygotes():
        os.kill(zygote, signal.SIGKILL)
    time.sleep(0.1)
    assert run_program("print(1)").stdout == "1\n"


def test_a_zygote_killed_while_a_program_runs_is_no_verdict() -> None:
    pool.close()
    run_program("")

    def kill() -> None:
        for zygote in _zygotes():
            os.kill(zygote, signal.SIGKILL)

    timer = threading.Timer(0.3, kill)
    timer.start()
    with pytest.raises(IsolationError) as failure:
        run_program("import time; time.sleep(20)")
    timer.join()
    assert failure.value.code == "V020"
    assert run_program("print(1)").stdout == "1\n"


def test_a_fork_has_a_pool_of_its_own() -> None:
    run_program("")
    source = """
    import os, sys
    from dataforge.verifiers.sandbox import run_program
    assert run_program("print(1)").stdout == "1\\n"
    child = os.fork()
    assert run_program("print(os.getpid())".replace("os", "__import__('os')")).stdout == "2\\n"
    if child == 0:
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert run_program("print(3)").stdout == "3\\n"
    print("done")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "done\n", done.stderr


@pytest.mark.parametrize("ending", ["sys.exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)"])
def test_nothing_is_left_when_the_grader_ends(ending: str) -> None:
    source = f"""
import os, signal, sys, threading, time
from dataforge.verifiers.sandbox import pool, run_program
run_program("")
threading.Thread(target=run_program, args=("import time; time.sleep(100)",), daemon=True).start()
time.sleep(0.3)
print(*(c._process.pid for c in pool._made._all), flush=True)
{ending}
"""
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=60
    )
    mine = [int(word) for word in done.stdout.split()]
    assert mine, done.stderr
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(map(_lives, mine)):
        time.sleep(0.05)
    assert not any(map(_lives, mine))


def test_groups_that_were_left_behind_are_swept() -> None:
    parents = {parent for _, parent in cgroups.home().parents}
    if not parents:
        pytest.skip("no control groups can be made here")
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    left = [parent / f"{cgroups.PREFIX}{dead.stdout.strip()}-0" for parent in parents]
    for folder in left:
        folder.mkdir()
    cgroups.sweep(cgroups.home())
    assert not any(folder.exists() for folder in left)


def _zygotes() -> set[int]:
    made = pool._made
    return {c._process.pid for c in made._all if c._process is not None} if made is not None else set()


def _lives(process: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


# ---- where there is no isolation


def test_without_isolation_nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pool.close()
    monkeypatch.delenv(pool.UNSAFE, raising=False)
    mark = tmp_path / "ran"
    monkeypatch.setattr(container, "BOOTSTRAP", "import sys; sys.exit('no namespaces for you')")
    with pytest.raises(IsolationError, match="no namespaces for you") as failure:
        run_program(f"open({str(mark)!r}, 'w')")
    assert failure.value.code == "V020"
    assert pool.UNSAFE in (failure.value.help or "")
    assert not mark.exists()


def test_another_system_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pool.close()
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(IsolationError, match="riscv64"):
        run_program("print(1)")


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_unsafe_runs_where_asked_for(how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if how == "variable":
        monkeypatch.setenv(pool.UNSAFE, "1")
    mark = tmp_path / "ran"
    run = run_program(f"print(input()); open({str(mark)!r}, 'w')", stdin="x", unsafe=how == "argument")
    assert (run.status, run.stdout) == ("ok", "x\n"), run
    assert mark.exists()


def test_unsafe_keeps_its_limits_and_kinds_of_end() -> None:
    with session(unsafe=True) as box:
        assert box.run("while True: print(1)").status == "output"
        assert box.run("import time; time.sleep(60)", limits=Limits(wall_s=0.3)).status == "wall"
        assert box.run("while True: pass", limits=Limits(cpu_s=0.5)).status == "cpu"
        assert box.run("x = 'a' * (1 << 40)").status == "memory"
        assert box.run("import os; os.abort()").signal == signal.SIGABRT
        returned = box.call("def f(x): return [x, (True,)]", "f", [1]).returned
    assert returned is not None
    assert returned.value == [1, (True,)]


# ---- parts


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_lets_through_what_it_says_and_nothing_else(machine: str) -> None:
    rules, arch = seccomp.instructions(machine), syscalls.AUDIT_ARCH[machine]
    numbers = syscalls.NUMBERS[machine]
    allowed = {numbers[name] for name in syscalls.ALLOWED if name in numbers}
    decided = {numbers[name] for name in syscalls.FILTERED}
    for number in range(700):
        answer = seccomp.run(rules, arch, number)
        if number in allowed:
            assert answer == seccomp.ALLOW, number
        elif number not in decided:
            assert answer in (seccomp.EPERM, seccomp.ENOSYS), number
    other = syscalls.AUDIT_ARCH["aarch64" if machine == "x86_64" else "x86_64"]
    assert seccomp.run(rules, other, numbers["read"]) == seccomp.KILL
    assert seccomp.run(rules, 0x40000003, 1) == seccomp.KILL  # i386
    if machine == "x86_64":
        assert seccomp.run(rules, arch, seccomp.X32 | numbers["read"]) == seccomp.KILL
    assert seccomp.run(rules, arch, numbers["clone3"]) == seccomp.ENOSYS


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_arguments_decide_where_they_must(machine: str) -> None:
    rules, arch, numbers = (
        seccomp.instructions(machine),
        syscalls.AUDIT_ARCH[machine],
        syscalls.NUMBERS[machine],
    )

    def answer(name: str, *arguments: int) -> int:
        return seccomp.run(rules, arch, numbers[name], arguments)

    assert answer("clone", 0x003D0F00) == seccomp.ALLOW  # a thread of glibc's
    assert answer("clone", 0x01200011) == seccomp.ALLOW  # a fork of glibc's
    for flag in (
        0x20000,
        0x2000000,
        0x4000000,
        0x8000000,
        0x10000000,
        0x20000000,
        0x40000000,
        0x8000,
        0x2000,
    ):
        assert answer("clone", 0x003D0F00 | flag) == seccomp.EPERM
    assert answer("socketpair", 1) == seccomp.ALLOW
    assert answer("socketpair", 2) == seccomp.EPERM
    assert answer("ioctl", 0, 0x5412) == seccomp.EPERM  # TIOCSTI
    assert answer("ioctl", 0, 0xABCD0000_00005412) == seccomp.EPERM  # the kernel reads the low half
    assert answer("ioctl", 0, 0x5401) == seccomp.ALLOW
    assert answer("prctl", 22) == seccomp.EPERM
    assert answer("fcntl", 0, 8) == seccomp.EPERM


def test_what_must_never_be_allowed_is_not() -> None:
    never = """
        ptrace mount umount2 pivot_root chroot unshare setns keyctl add_key bpf perf_event_open userfaultfd io_uring_setup socket
        connect bind execve execveat kexec_load reboot init_module process_vm_readv process_vm_writev setuid setresuid capset
        seccomp memfd_create shmget msgget mq_open open_by_handle_at personality swapon mknod
    """
    assert not set(never.split()) & {*syscalls.ALLOWED, *syscalls.FILTERED}


def test_tally_counts_a_tree() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "import os\nos.fork()\nwhile True: pass"], start_new_session=True
    )
    tally = Tally(child.pid)
    try:
        deadline = time.monotonic() + 20
        while tally.cpu_s() < 0.4 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert tally.cpu_s() >= 0.4
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def test_groups_of_version_2_are_made_beside_and_not_beneath(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest group above that hands its controllers down; one with processes of its own may not have any beneath it."""
    for folder, handed in (("", ""), ("user.slice", "cpu memory pids"), ("user.slice/app.scope", "")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "cgroup.subtree_control").write_text(handed)
    mounts = f"proc /proc proc rw 0 0\ncgroup2 {tmp_path} cgroup2 rw,nosuid 0 0\n"
    assert cgroups.find_home(mounts, "0::/user.slice/app.scope\n").parents == (), (
        "no processes can be moved to plain folders"
    )
    monkeypatch.setattr(cgroups, "_makes", lambda folder: True)
    found = cgroups.find_home(mounts, "0::/user.slice/app.scope\n")
    assert found == cgroups.Home(
        2, tuple((name, tmp_path / "user.slice") for name in ("cpu", "memory", "pids"))
    )
    monkeypatch.setattr(cgroups, "_makes", lambda folder: False)
    assert cgroups.find_home(mounts, "0::/user.slice/app.scope\n").parents == ()


@pytest.mark.parametrize("version", [1, 2])
def test_groups_speak_both_versions(version: int, tmp_path: Path) -> None:
    names = ("cpuacct", "memory", "pids") if version == 1 else ("cpu", "memory", "pids")
    groups = cgroups.Groups(cgroups.Home(version, tuple((name, tmp_path) for name in names)))
    (folder,) = tmp_path.iterdir()
    groups.take(123)
    groups.bound(1000, 5)
    (folder / "cpuacct.usage").write_text("2500000000\n")
    (folder / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (folder / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    (folder / "memory.events").write_text("low 0\noom 4\noom_kill 3\n")
    assert groups.has("pids") and groups.has("memory") and groups.has("cpu")
    assert groups.cpu_s() == 2.5
    assert groups.killed() == 3
    assert (folder / "cgroup.procs").read_text() == "123"
    assert (folder / "pids.max").read_text() == "5"
    assert (folder / ("memory.limit_in_bytes" if version == 1 else "memory.max")).read_text() == "1000"
    assert (folder / "memory.swap.max").exists() is (version == 2)
    for file in folder.iterdir():
        file.unlink()  # in the kernel's file system they are not in the way
    groups.close()
    assert not folder.exists()


def test_groups_of_version_1_are_found_by_controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_makes", lambda folder: True)
    for folder in ("pids/mine", "memory", "cpu,cpuacct"):
        (tmp_path / folder).mkdir(parents=True)
    mounts = "".join(
        f"cgroup {tmp_path}/{name} cgroup rw,nosuid,{name} 0 0\n"
        for name in ("pids", "memory", "cpu,cpuacct")
    )
    found = cgroups.find_home(
        mounts, "4:pids:/mine\n3:memory:/not/here\n2:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n"
    )
    assert found == cgroups.Home(
        1, (("cpuacct", tmp_path / "cpu,cpuacct"), ("memory", tmp_path / "memory"), ("pids", tmp_path / "pids/mine"))
    )  # fmt: skip


# ---- forks of the grader, and what a container leaves behind

_FORKS_DURING_A_RUN = """
import os, threading, time
from dataforge.verifiers.sandbox import run_program
warm = run_program("print(1)")
found = []
# 200 kB do not fit into a pipe: the fork comes while they are written.
source = "import sys, time\\ntime.sleep(0.5)\\nprint(len(sys.stdin.read()))"
thread = threading.Thread(target=lambda: found.append(run_program(source, stdin="x" * 200_000)))
thread.start()
time.sleep(0.25)
child = os.fork()
if child == 0:
    time.sleep(30)
    os._exit(0)
thread.join(10)
os.kill(child, 9)
print(found[0].status if found else "hangs", found[0].stdout.strip() if found else "")
"""

_FORKS_DURING_A_START = """
import os, subprocess, threading, time
from dataforge.verifiers.sandbox import container, run_program
started = threading.Event()
before = container.Container._enclose
def enclose(self, *arguments):
    started.set()
    time.sleep(0.3)
    before(self, *arguments)
container.Container._enclose = enclose
thread = threading.Thread(target=lambda: run_program("print(1)"))
thread.start()
started.wait()
child = os.fork()
if child == 0:
    time.sleep(600)
    os._exit(0)
thread.join()
mine = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True).stdout.split()
print(child, *[pid for pid in mine if pid != str(child)], flush=True)
time.sleep(600)
"""

_LEAVES_NO_ZOMBIES = """
import ctypes, os, time
from pathlib import Path
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans come to this process, as to PID 1
from dataforge.verifiers.sandbox import pool, run_program
for _ in range(20):
    assert run_program("print(1)").status == "ok"
    pool.close()
time.sleep(0.2)
children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
print(len([c for c in children if Path(f"/proc/{c}/stat").read_text().split(") ")[1][0] == "Z"]))
"""


def _script(source: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)


def test_a_fork_of_the_grader_keeps_no_end_of_a_programs_input() -> None:
    said, _ = _script(_FORKS_DURING_A_RUN).communicate(timeout=60)
    assert said.split() == ["ok", "200000"]


def test_a_fork_while_a_container_starts_does_not_keep_it_alive() -> None:
    process = _script(_FORKS_DURING_A_START)
    assert process.stdout is not None
    child, *enclosures = map(int, process.stdout.readline().split())
    try:
        assert enclosures
        process.kill()
        process.wait()
        ends = time.monotonic() + 10
        while (left := [p for p in enclosures if _is_running(p)]) and time.monotonic() < ends:
            time.sleep(0.05)
        assert left == []
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def _is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_closed_containers_leave_no_zombies_to_whoever_takes_in_orphans() -> None:
    said, _ = _script(_LEAVES_NO_ZOMBIES).communicate(timeout=60)
    assert said.strip() == "0"
