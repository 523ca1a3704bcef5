"""From a conversation to tokens, and exactly which of them the loss sees.

A chat template with generation markers says, while it renders, which text the assistant wrote. The text is encoded in
segments cut at those borders, as a model meets them: the prompt encoded by itself, then what it says. So no token lies
across a border, no prefix needs to be stable, and the tokens decode to the rendered text or an error says so.
"""

from __future__ import annotations

from typing import Any

from trainer.config import DataConfig
from trainer.samples import Conversation, Notes, Sample


class Renderer:
    """A tokenizer with a chat template that marks the assistant's words.

    Attributes:
        tokenizer: a fast tokenizer of transformers.
        template: the Jinja source in use.
        template_name: `own`, the name of the shipped twin, or the path of the file.
    """

    def __init__(self, tokenizer: Any, template: str = "auto", data: DataConfig | None = None) -> None:
        raise NotImplementedError

    def samples(self, conversation: Conversation, notes: Notes) -> list[Sample]:
        """The samples of a conversation: one, or one a turn or a piece where the policies split it."""
        raise NotImplementedError
