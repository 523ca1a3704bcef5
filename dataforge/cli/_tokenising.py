"""The trainer's chat templates as what makes tokens and masks for scored groups: needs the extra `train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataforge.interop.groups import Tokens
    from schemas.chat import Message

_IGNORED = -100
_NO_BOUND = 2**31 - 1
_CLOSING = 32
"""A template closes a turn with fewer tokens."""


class Tokeniser:
    """A `dataforge.interop.groups.Tokenise`: exactly the tokens and masks that `dataforge train` would make.

    Args:
        name: a folder in Hugging Face's form, a name at the hub, `embedded` or `tiny`.
        template: `auto`, the name of a shipped chat template, or a `.jinja` file with generation markers.

    Raises:
        InputError: it cannot be found, or there is no template for it.
    """

    def __init__(self, name: str, template: str = "auto") -> None:
        from trainer.config import DataConfig, ModelConfig
        from trainer.masks import Renderer
        from trainer.pretrained import load_tokenizer

        tokenizer = load_tokenizer(ModelConfig(tokenizer=name))
        self._renderer = Renderer(tokenizer, template, DataConfig(context=_NO_BOUND))

    def __call__(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], ended: bool
    ) -> Tokens:
        from dataforge.interop.groups import Tokens
        from trainer.samples import Conversation, Notes

        conversation = Conversation("response", tuple(messages), tuple(dict(tool) for tool in tools))
        (sample,) = self._renderer.samples(conversation, Notes())
        tokens, trained = sample.tokens.tolist(), sample.trained.tolist()
        if not ended:
            length = self._said(messages[-1], tokens, trained)
            tokens, trained = tokens[:length], trained[:length]
        masks = [token if seen else _IGNORED for token, seen in zip(tokens, trained, strict=True)]
        return Tokens(tokens, masks)

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """What each token says by itself."""
        return [self._renderer.text([token]) for token in tokens]

    def _said(self, turn: Message, tokens: Sequence[int], trained: Sequence[bool]) -> int:
        """How many of the tokens the model really said: the template closes the turn, and its thinking, all the same.

        Raises:
            InputError: V035, where that cannot be told.
        """
        from dataforge.errors import InputError

        begin = trained.index(True)
        said = turn.content or turn.reasoning_content or ""
        if not said:
            return begin
        last = max(at for at, seen in enumerate(trained) if seen)
        if self._renderer.end.fullmatch(self._renderer.text(tokens[last : last + 1])):
            tokens = tokens[:last]
        for length in range(len(tokens), max(begin, len(tokens) - _CLOSING) - 1, -1):
            text = self._renderer.text(tokens[begin:length])
            if text.endswith(said) or text.rstrip() == said.rstrip():
                return length
        raise InputError(
            "the chat template does not end a turn with what was said in it, so one that was cut off cannot be told apart",
            code="V035",
            help="name another --template",
        )
