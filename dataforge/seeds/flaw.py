"""What a reader says when a file is not as it should be.

A reader knows the place inside its file; what the file is called is known by the one who opened it. So readers raise
`Flaw`, and `read_seeds` makes of it the `SeedError` that people see, with the name put in front.
"""

from __future__ import annotations

from dataforge.errors import SeedError

LIMIT_BYTES = 16 * 1024 * 1024
"""The longest record that is read: more text than any model takes, so a longer one is a file of another kind."""


class Flaw(Exception):
    """Something wrong inside one seed file.

    Args:
        code: R011 to R016.
        what: what is wrong, as a sentence without its full stop.
        at: where: a line or row, or `line:column`; None means the file as a whole.
        help: what to do about it.
    """

    def __init__(self, code: str, what: str, *, at: int | str | None = None, help: str | None = None) -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.at = at
        self.help = help

    def placed(self, at: int) -> Flaw:
        """The same flaw, at this line or row unless it says itself where it is."""
        return Flaw(self.code, self.what, at=at if self.at is None else self.at, help=self.help)

    def named(self, shown: str) -> SeedError:
        """The error for people, in the file that is shown under this name."""
        where = shown if self.at is None else f"{shown}:{self.at}"
        return SeedError(f"{where}: {self.what}", code=self.code, help=self.help)


def too_long(at: int | None = None) -> Flaw:
    return Flaw(
        "R012",
        f"the record is longer than {LIMIT_BYTES >> 20} MiB",
        at=at,
        help="seeds are passages: split the text into pieces of a few hundred words, one record each",
    )
