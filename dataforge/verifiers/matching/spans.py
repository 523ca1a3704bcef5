"""Places in an answer → places in the response that it is the end of."""

from __future__ import annotations

from collections.abc import Sequence

from dataforge.verifiers.protocol import Candidate


def shifted(candidates: Sequence[Candidate], offset: int) -> tuple[Candidate, ...]:
    """The candidates, so many characters further on."""
    if not offset:
        return tuple(candidates)
    return tuple(
        Candidate(c.text, None if c.span is None else (c.span[0] + offset, c.span[1] + offset), c.rejected)
        for c in candidates
    )
