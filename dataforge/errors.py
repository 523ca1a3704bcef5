"""Every error that DataForge raises on purpose.

    DataForgeError                 has a code, says what is wrong, and what to do about it
    ├── InputError                 the user's input is wrong: nothing was run; exit code 2
    │   ├── CompileError           a `.forge` file is wrong: carries every diagnostic found
    │   ├── ProjectError           `dataforge.toml`, a models file or the environment is wrong
    │   ├── PlanError              a plan document is damaged or does not fit its project
    │   ├── SeedError              seeds are missing or cannot be read
    │   └── OutputError            the output directory cannot be used
    ├── RunError                   something failed while running; exit code 1
    │   ├── ModelError             a model could not be asked
    │   │   ├── RateLimitError     the endpoint asks us to slow down (HTTP 429, 503 with Retry-After)
    │   │   ├── TransientError     may go away by itself: resets, time-outs, HTTP 5xx, bodies that are no JSON
    │   │   └── PermanentError     will not go away: bad key, unknown model, prompt too long
    │   ├── FunctionFailed         a Python function of the user's raised something other than `Reject`
    │   ├── StorageError           the disk refused: full, read-only, failing
    │   └── ContractBug            a linked edge whose precondition failed: our bug, never the user's
    └── Interrupted                stopped by the user; the same command resumes; exit code 3

`Reject` stands apart: a user's `call` function raises it to turn one row away, which is an outcome, not an error.

Codes are stable. `F…` are diagnostics on `.forge` files, `R…` are everything else; each has a section in
`docs/errors.md` with a failing and a mended example, and the tests run both.
"""

from __future__ import annotations

from typing import ClassVar


class DataForgeError(Exception):
    """Base of the tree: `str(error)` is one line for people, `help` says what to do.

    Args:
        message: what is wrong and where, without a trailing full stop.
        code: a stable code such as ``R010``; classes that only ever mean one thing set their own.
        help: what to do about it, or None where the message already says so.
    """

    exit_code: ClassVar[int] = 1
    default_code: ClassVar[str] = "R000"

    def __init__(self, message: str, *, code: str | None = None, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.help = help

    def __str__(self) -> str:
        return f"error[{self.code}]: {self.message}"

    def to_json(self) -> dict[str, str | None]:
        return {"code": self.code, "message": self.message, "help": self.help}


class InputError(DataForgeError):
    """The user's input is wrong; nothing was run and nothing was written."""

    exit_code = 2


class ProjectError(InputError):
    """`dataforge.toml`, a models file or the environment is wrong."""

    default_code = "R001"


class PlanError(InputError):
    """A plan document is damaged, or does not fit the project it is run in."""

    default_code = "R031"


class SeedError(InputError):
    """Seeds are missing, empty or unreadable."""

    default_code = "R010"


class OutputError(InputError):
    """The output directory cannot be used for this run."""

    default_code = "R020"


class RunError(DataForgeError):
    """Something failed while running; what was finished before is kept."""


class ModelError(RunError):
    """A model could not be asked, or gave nothing that could be used."""

    default_code = "R005"


class RateLimitError(ModelError):
    """The endpoint asks us to slow down.

    Args:
        retry_after_s: seconds the endpoint asked us to wait, or None where it did not say.
    """

    default_code = "R006"

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        code: str | None = None,
        help: str | None = None,
    ) -> None:
        super().__init__(message, code=code, help=help)
        self.retry_after_s = retry_after_s


class TransientError(ModelError):
    """A failure that may go away by itself: worth another attempt."""

    default_code = "R007"


class PermanentError(ModelError):
    """A failure that another attempt would only repeat."""

    default_code = "R008"


class QuotaError(ModelError):
    """The account behind the endpoint has nothing left to spend: the endpoint is parked until a person sees to it."""

    default_code = "R009"


class FunctionFailed(RunError):
    """A `call` function or a predicate raised something other than `Reject`: its author must see it."""

    default_code = "R108"


class StorageError(RunError):
    """The disk refused: full, read-only or failing. What was acknowledged before is kept."""

    default_code = "R021"


class ContractBug(RunError):
    """A precondition failed on an edge that the planner linked. This is a bug of DataForge."""

    default_code = "R099"


class Interrupted(DataForgeError):
    """The user stopped the run. Everything finished is kept; the same command goes on from there."""

    exit_code = 3
    default_code = "R090"


class Reject(Exception):
    """Raised by a `call` function to turn the row away, with the reason that the corpus should record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
