"""DataForge: a declarative compiler for synthetic data.

`.forge` files declare nodes with typed pre- and postconditions; the compiler links them into a DAG, and a run walks real
seed text through it into a corpus in which every row satisfies every contract on its path.

    from dataforge import compile_program
    plan = compile_program(Path("graphs/quickstart.forge"))
    plan.linked.paths, plan.json()

Importing this package loads none of its parts: they come when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataforge.errors import Reject

if TYPE_CHECKING:
    from dataforge.plan.artifact import Plan, compile_program, open_plan

__version__ = "0.1.0"
__all__ = ["Plan", "Reject", "__version__", "compile_program", "open_plan"]


def __getattr__(name: str) -> Any:
    if name in ("Plan", "compile_program", "open_plan"):
        from dataforge.plan import artifact

        return getattr(artifact, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
