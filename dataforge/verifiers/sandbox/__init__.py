"""Run programs that nobody has read: isolated, bounded, measured.

    from dataforge.verifiers.sandbox import Limits, run_program

    run = run_program("print(int(input()) * 2)", stdin="21", limits=Limits(cpu_s=2))
    assert (run.status, run.stdout) == ("ok", "42\n")

`session()` runs many in a row in one container: `with session() as box: box.run(…); box.call(…)`. What holds the program
back, and what was decided against, is in `docs/decisions/018-sandbox.md`.
"""

from dataforge.verifiers.sandbox.limits import IsolationError, Limits, Returned, Run, Status
from dataforge.verifiers.sandbox.pool import Session, run_program, session

__all__ = ["IsolationError", "Limits", "Returned", "Run", "Session", "Status", "run_program", "session"]
