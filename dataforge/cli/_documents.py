"""Samples on a terminal, with what the loss sees of them: by colours, or by brackets where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dataforge.cli._terminal import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from trainer.show import Document

_GROUNDS = ("grey11", "grey27")
"""Of documents, by turns. Both colours of a text are set, so that it can be read on any terminal's own."""

_LOOKS = {
    (True, False): "bright_green",
    (True, True): "bold underline bright_green",
    (False, False): "grey74",
    (False, True): "underline grey74",
}
"""By whether it is trained, and whether it is a special token."""


def show_documents(heading: str, found: Sequence[Document]) -> None:
    """Print documents that share a row, under a heading."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    console.print(heading)
    plain = console.no_color or not console.is_terminal
    console.print(_legend(plain))
    console.print()
    for place, document in enumerate(found):
        end = document.start + document.length
        console.print(
            f"── document {place + 1} of {len(found)} · {printable(document.id)} · {document.kind}"
            f" · tokens {document.start:,}–{end - 1:,}, positions from 0 to {document.length - 1:,}"
            f" · {document.trained:,} trained",
            style="" if plain else "bold",
        )
        console.print(_bracketed(document) if plain else _coloured(document, place))


def _legend(plain: bool) -> RenderableType:
    from rich.text import Text

    if plain:
        return "⟦trained: the loss sees it⟧  context: it doesn't  ‹special token›"
    words = {
        (True, False): "trained: the loss sees it",
        (True, True): "special token, trained",
        (False, False): "context: it doesn't",
        (False, True): "special token",
    }
    text = Text()
    for place, (look, said) in enumerate(words.items()):
        text.append(f" {said} ", f"{_LOOKS[look]} on {_GROUNDS[place % 2]}").append("  ")
    return text


def _coloured(document: Document, place: int) -> RenderableType:
    from rich.padding import Padding
    from rich.text import Text

    ground = f"on {_GROUNDS[place % 2]}"
    text = Text()
    for run in document.runs:
        text.append(printable(run.text), f"{_LOOKS[run.trained, run.special]} {ground}")
    return Padding(text, (0, 1), style=ground)


def _bracketed(document: Document) -> str:
    """For where there are no colours: what is trained in ⟦ ⟧, special tokens in ‹ ›."""
    parts, inside = [], False
    for run in document.runs:
        if run.trained != inside:
            parts.append("⟦" if run.trained else "⟧")
            inside = run.trained
        text = printable(run.text)
        parts.append(f"‹{text}›" if run.special else text)
    return "".join([*parts, "⟧" if inside else ""])
