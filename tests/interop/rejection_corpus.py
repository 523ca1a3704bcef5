"""A corpus as a run with `verify` leaves it: winners as calls in `data/`, losing samples as calls in `rejected/`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dataforge.run.journal import Outcome
from schemas.chat import Message
from schemas.corpus import ModelUse, Reason, Row, VerdictLine
from tests.corpus.test_corpus_files import INFO, write_corpus

_numbers = itertools.count()


def call(
    seed: str,
    said: str,
    score: float | None = 1.0,
    *,
    prompt: str | None = None,
    lost: str | None = None,
    node: str = "Solve",
    reasoning: str | None = None,
    more: Sequence[VerdictLine] = (),
    **fields: Any,
) -> Row:
    """A sample of a node; `lost` is the code of why it was turned away."""
    verdicts = [
        VerdictLine(node=node, criterion="pass_rate", score=0.5, reason="1 of 2 samples pass", round=0),
        *more,
    ]
    if score is not None:
        verdicts.append(VerdictLine(node=node, criterion="sums", score=score, reason="", round=0))
    told = {
        "id": f"row-{next(_numbers)}",
        "messages": [
            Message(role="system", content="Add."),
            Message(role="user", content=prompt or f"What is {seed}?"),
            Message(role="assistant", content=said, reasoning_content=reasoning, train=True),
        ],
        "kind": "call",
        "graph": "quick",
        "node": node,
        "path": [node],
        "seed_id": seed,
        "seed_source": "a.jsonl",
        "models": [ModelUse(role="writer", name="smol", weights="w")],
        "verdicts": verdicts,
        "thinking": "off",
        "tokens": 7,
        "state": "{}",
        "reason": Reason(stage=node, code=lost, message="no").model_dump_json() if lost else None,
    }
    return Row.model_validate(told | fields)


def final(row: Row, **fields: Any) -> Row:
    return row.model_copy(update={"kind": "final", "id": f"{row.id}-final", **fields})


def corpus(out: Path, rows_by_seed: Iterable[Sequence[Row]], shard_rows: int = 3) -> Path:
    outcomes = [
        Outcome(number, "kept" if any(r.reason is None for r in rows) else "rejected", tuple(rows))
        for number, rows in enumerate(rows_by_seed)
    ]
    write_corpus(out, outcomes, INFO, shard_rows)
    return out
