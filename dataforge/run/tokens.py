"""The tokenizer of a run: what `tokens(…)` counts in conditions and what the corpus's `tokens` column says."""

from __future__ import annotations

from dataforge.domain.measures import TokenCounter, simple_tokens
from dataforge.errors import ProjectError


def token_counter(name: str) -> TokenCounter:
    """The counter of `simple`, or of a Hugging Face `tokenizer.json`.

    Raises:
        ProjectError: where the file cannot be read, or the `tokenizers` package is missing.
    """
    if name == "simple":
        return simple_tokens
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ProjectError(
            f"the tokenizer {name} needs the `tokenizers` package",
            help="pip install 'dataforge-compiler[local]'",
        ) from error
    try:
        tokenizer = Tokenizer.from_file(name)
    except Exception as error:
        # The package raises bare exceptions of its own for every kind of damage.
        raise ProjectError(
            f"the tokenizer {name} cannot be read: {error}",
            help="name a Hugging Face tokenizer.json, or `simple`",
        ) from error

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return count
