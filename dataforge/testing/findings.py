"""What a contract test found, and how it is said."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from dataforge.lang.diagnostics import Source, Span

Verdict = Literal["passed", "failed", "warning"]
MOST_SHOWN = 600


@dataclass(frozen=True)
class Finding:
    """The outcome of one check of one node, graph or example.

    Attributes:
        subject: what was tested, such as `answer` or `example question`.
        check: which law, as `dataforge test` names it.
        verdict: whether it holds.
        message: what is wrong, or empty.
        state: the smallest state that was found to break it, as JSON values.
        said: the models' answers in that case, as (model, text).
        seed: what `--seed` replays it, or None where nothing was drawn.
        source, span: where to look.
        examples: how many cases were tried.
    """

    subject: str
    check: str
    verdict: Verdict
    message: str = ""
    state: Mapping[str, Any] | None = None
    said: tuple[tuple[str, str], ...] = ()
    seed: int | None = None
    source: Source | None = field(default=None, repr=False)
    span: Span = Span(0, 0)
    examples: int = 0

    @property
    def place(self) -> str:
        """`path:line:column`, or nothing."""
        if self.source is None:
            return ""
        line, column = self.source.line_column(self.span.start)
        return f"{self.source.path}:{line}:{column}"

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
        line, column = self.source.line_column(self.span.start) if self.source is not None else (0, 0)
        return {
            "subject": self.subject,
            "check": self.check,
            "verdict": self.verdict,
            "message": self.message,
            "path": self.source.path if self.source is not None else None,
            "line": line,
            "column": column,
            "state": self.state,
            "said": [list(pair) for pair in self.said],
            "seed": self.seed,
            "examples": self.examples,
        }

    def render(self, file: str) -> str:
        """The finding for people; `file` is what they ran, for the line that replays it."""
        lines = [f"{self.verdict.upper()} {self.subject}: {self.check}: {self.message}"]
        if self.place:
            lines.append(f"  at      {self.place}")
        if self.state is not None:
            lines.append(f"  state   {shown(json.dumps(self.state, ensure_ascii=False))}")
        lines.extend(
            f"  {model} said {shown(json.dumps(text, ensure_ascii=False))}" for model, text in self.said
        )
        if self.seed is not None:
            lines.append(
                f"  replay  dataforge test {shlex.quote(file)} --only {shlex.quote(self.subject)} --seed {self.seed}"
            )
        return "\n".join(lines)


def shown(text: str) -> str:
    """A text cut where it would fill the screen."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}… ({len(text):,} characters)"


def dumped(state: Mapping[str, BaseModel]) -> dict[str, Any]:
    """A state as JSON values."""
    return {
        name: instance.model_dump(mode="json", warnings=False) for name, instance in sorted(state.items())
    }
