"""From a conversation to tokens, and exactly which of them the loss sees.

A chat template with generation markers says, while it renders, which text the assistant wrote. The text is encoded in
segments cut at those borders, as a model meets them: the prompt encoded by itself, then what it says. So no token lies
across a border, no prefix needs to be stable, and the tokens decode to the rendered text or an error says so.

One rule decides whether a turn is trained: what stands before it is what the model would have been given for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from dataforge.errors import InputError
from schemas.chat import Message
from trainer.chat import Chat, Rendered, Span, choose, first_difference
from trainer.config import DataConfig
from trainer.conversations import normal
from trainer.length.strategies import mask
from trainer.samples import Conversation, Dropped, Notes, Sample
from trainer.turn import CLOSE, in_pieces

_ENDS = frozenset(
    f"<|{end}|>" for end in ("im_end", "eot_id", "eom_id", "end", "return", "call", "endoftext")
)
"""Tokens that end a turn, in some families; the tokenizer's own end of text is one in all of them."""


class Renderer:
    """A tokenizer with a chat template that marks the assistant's words.

    Attributes:
        tokenizer: a fast tokenizer of transformers.
        template: the Jinja source in use.
        template_name: `own`, the name of the shipped twin, or the path of the file.
        asked: what `model.template` says, `auto` or one of those.
        end: matches the tokens that end a turn.

    Raises:
        InputError: the tokenizer is not a fast one (T006), or has no template that can be used; see `trainer.chat.choose`.
    """

    def __init__(self, tokenizer: Any, template: str = "auto", data: DataConfig | None = None) -> None:
        if not tokenizer.is_fast:
            raise InputError(
                f"{type(tokenizer).__name__} is no fast tokenizer",
                code="T006",
                help="name one with a tokenizer.json: `--set model.tokenizer=…`",
            )
        self.tokenizer = tokenizer
        self.data = data or DataConfig()
        self.asked = template
        self._chosen, self._stock = choose(tokenizer, template)
        self.template = self._chosen.source
        self.template_name = self._chosen.name
        names = [t for t in tokenizer.get_added_vocab() if t in _ENDS or t == tokenizer.eos_token]
        self.end = re.compile("|".join(map(re.escape, names)) or "(?!)")

    def samples(self, conversation: Conversation, notes: Notes) -> list[Sample]:
        """The samples of a conversation: one, or one a turn or a piece where the policies split it.

        Raises:
            InputError: nothing in it is trained (T003), the template cannot render it or loses a part of it (T005), or
                the tokenizer does not give its text back (T006).
        """
        row = conversation.id
        messages = tuple(normal(message, row, notes) for message in conversation.messages)
        asked = [n for n, message in enumerate(messages) if message.role == "assistant" and message.train]
        if not asked:
            return self._untrained(row, "no message of the assistant is marked with `train`", notes)
        if tail := len(messages) - asked[-1] - 1:
            # Nothing after the last trained turn can change its loss, but templates would render that turn as history.
            notes.count("tail_messages", tail)
        if conversation.mask is not None:
            if len(asked) > 1:
                notes.count("untrained_turns", len(asked) - 1)
            return self._by_strategy(conversation, conversation.mask, messages[: asked[-1] + 1], notes)
        turns = [(row, asked)]
        if self.data.history == "split" and len(asked) > 1:
            turns = [(f"{row}#{number}", [n]) for number, n in enumerate(asked)]
        samples = []
        for name, wanted in turns:
            seen = messages[: wanted[-1] + 1]
            thinking = (conversation.thinking or ("on" if seen[-1].reasoning_content else "off")) == "on"
            chat = Chat(name, seen, conversation.tools, thinking, keep=self.data.history == "keep")
            if seen[-1].reasoning_content and not thinking:
                raise _fault(chat, f"it is marked `thinking: off`, and message {len(seen) - 1} thinks")
            rendered = self._render(chat, notes)
            borders = self._borders(chat, rendered, wanted, notes, told=conversation.thinking is not None)
            tokens, trained = self._encode(chat, rendered, borders, notes)
            kind = conversation.kind + ("-thinking" if thinking else "")
            samples += self._fit(Sample(name, tokens, trained, kind), notes)
        return samples

    def _by_strategy(
        self, conversation: Conversation, strategy: str, messages: Sequence[Message], notes: Notes
    ) -> list[Sample]:
        """The sample of a row that names a mask strategy: its last turn in pieces, whole or not at all."""
        row, last = conversation.id, messages[-1]
        # As it was written: white space at the border of the thinking is some of its tokens.
        thinking = conversation.messages[len(messages) - 1].reasoning_content or last.reasoning_content or ""
        why = None
        if conversation.thinking == "off":
            why = "it is marked `thinking: off`"
        elif not thinking:
            why = "its last trained turn does not think"
        elif CLOSE in thinking:
            why = f"{CLOSE} stands inside its thinking"
        if why is not None:
            raise _unfit(row, strategy, why)
        ids = self.ids(thinking, row, notes)
        if conversation.budget not in (None, len(ids)):
            raise InputError(
                f"row {row}: its thinking has {len(ids):,} tokens, and was to be cut at {conversation.budget:,}",
                code="L005",
                help="mask the traces with the tokenizer that they were sampled with",
            )
        turn = in_pieces(
            self,
            messages[:-1],
            ids,
            last.content,
            conversation.tools,
            calls=last.tool_calls or (),
            row=row,
            notes=notes,
        )
        tokens = np.array(turn.tokens, np.int32)
        kind = f"{conversation.kind}-{strategy.partition(':')[0]}"
        sample = Sample(row, tokens, mask(strategy, turn, row), kind)
        if len(tokens) <= self.data.context:
            return [sample]
        size = f"{len(tokens):,} tokens, and a row has {self.data.context:,}"
        if self.data.overlong != "drop":
            raise _unfit(
                row,
                strategy,
                f"{size}: what is trained would be torn from what it follows by data.overlong = {self.data.overlong}",
                f"`--set data.context={len(tokens)}` holds it; `--set data.overlong=drop` leaves it out",
            )
        notes.dropped.append(Dropped(row, "overlong", size))
        return []

    def last_turn(self, chat: Chat, notes: Notes) -> tuple[Rendered, Span]:
        """The text of a conversation, with the borders of its last turn, which is the assistant's.

        Raises:
            InputError: as `samples`; or what stands before the turn is no prompt at inference (T005).
        """
        rendered = self._render(chat, notes)
        (border,) = self._borders(chat, rendered, [len(chat.messages) - 1], notes)
        prompt = self._chosen.render(replace(chat, messages=chat.messages[:-1]), prompt=True).text
        if unlike := first_difference(rendered.text[: border[0]], prompt):
            raise _fault(chat, f"its last turn stands behind another prompt than at inference: {unlike}")
        return rendered, border

    def _render(self, chat: Chat, notes: Notes) -> Rendered:
        """The text, which is the text that the tokenizer's own template gives."""
        rendered = self._chosen.render(chat)
        if self._stock:
            ours = None if chat.keep else rendered.text
            if unlike := self._chosen.differs(self._stock, replace(chat, keep=False), ours):
                raise _fault(
                    chat,
                    f"the twin `{self.template_name}` renders it unlike the tokenizer's own template: {unlike}",
                    f"`--set model.template={self.template_name}` takes the twin all the same",
                )
        if rendered.plain:
            notes.count("control_tokens", len(rendered.plain))
        return rendered

    def _borders(
        self, chat: Chat, rendered: Rendered, wanted: Sequence[int], notes: Notes, *, told: bool = True
    ) -> list[Span]:
        """Begin and end of each turn that is trained.

        Args:
            told: whether the row says its mode; if not, that is the last turn's, and earlier ones may have another.
        """
        answers = [n for n, message in enumerate(chat.messages) if message.role == "assistant"]
        if len(rendered.spans) != len(answers):
            raise _fault(
                chat, f"its {len(answers)} turns of the assistant have {len(rendered.spans)} marked parts"
            )
        spans = dict(zip(answers, rendered.spans, strict=True))
        shown = self._chosen.shows(chat)
        _check_whole(chat, rendered.text, spans, shown)
        thoughtless = [n for n, m in enumerate(chat.messages) if m.reasoning_content and n not in shown]
        if thoughtless and self.data.history != "split":
            notes.count("thinking_removed", len(thoughtless))
        found = []
        for n in wanted:
            border = self._border(chat, rendered, spans[n], notes)
            if n not in thoughtless and not isinstance(border, str):
                if n == answers[-1] or self._in_its_mode(chat, n, rendered.text[: border[0]], told):
                    found.append(border)
                else:
                    notes.count("turns_of_other_mode")
            elif n == answers[-1] or chat.keep:
                why = "removes its thinking" if n in thoughtless else border
                raise _fault(chat, f"message {n} cannot be trained, since the template {why}")
            else:
                notes.count("untrained_turns")
        return found

    def _in_its_mode(self, chat: Chat, n: int, prompt: str, told: bool) -> bool:
        """Whether an earlier turn stands behind the prompt of its own mode, which may be both modes' prompt."""
        thinks = bool(chat.messages[n].reasoning_content)
        if thinks == chat.thinking or (told and not thinks):
            return True
        own = replace(chat, messages=chat.messages[:n], thinking=thinks)
        return self._chosen.render(own, prompt=True).text == prompt

    def _border(self, chat: Chat, rendered: Rendered, span: Span, notes: Notes) -> Span | str:
        """From the end of inference's header to the end of the token that ends the turn; or what is amiss."""
        text, (begin, end) = rendered.text, span
        header = self._chosen.header(chat.thinking)
        at = text.find(header, max(0, begin - len(header)), min(end, begin + len(header)))
        if at < 0:
            return f"does not begin it with {header!r}, as at inference"
        if (start := at + len(header)) != begin:
            notes.count("headers_unmarked")
        ends = [match.span() for match in self.end.finditer(text, start, end)]
        ends = [e for e in ends if e not in rendered.plain and not text[e[1] : end].strip()]
        if not ends and (following := self.end.match(text, end)) and following.span() not in rendered.plain:
            notes.count("ends_added")
            ends = [following.span()]
        return (start, ends[-1][1]) if ends else "puts no token that ends a turn behind it"

    def _encode(
        self, chat: Chat, rendered: Rendered, borders: Sequence[Span], notes: Notes
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Tokens, and which of them lie between the borders. What lies between two cuts is encoded by itself."""
        parts = self.encoded(rendered.text, chain.from_iterable(borders), rendered.plain)
        tokens = np.fromiter(chain.from_iterable(parts.values()), np.int32)
        within = [any(begin <= at < end for begin, end in borders) for at in parts]
        trained = np.repeat(np.array(within, np.bool_), [len(ids) for ids in parts.values()])
        trained[:1] = False
        self.check_back(tokens, rendered.text, chat.id, notes)
        return tokens, trained

    def encoded(self, text: str, borders: Iterable[int], plain: Sequence[Span]) -> dict[int, list[int]]:
        """The tokens of a text cut at some borders, each part by itself: where it begins → its ids.

        Args:
            plain: begin and end of what looks like a control token and is text; both are borders too.
        """
        cuts = sorted({0, len(text), *borders, *chain.from_iterable(plain)})
        pieces = [text[begin:end] for begin, end in pairwise(cuts)]
        ids = self.tokenizer(
            pieces,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]
        parts: dict[int, list[int]] = dict(zip(cuts[:-1], ids, strict=True))
        for begin, end in plain:
            parts[begin] = self._as_text(text[begin:end])
        return parts

    def ids(self, text: str, row: str = "prompt", notes: Notes | None = None) -> tuple[int, ...]:
        """The tokens of a text that the assistant thought or said, by itself: what looks like a control token is text.

        Raises:
            InputError: they do not decode to it (T006).
        """
        notes, plain = notes or Notes(), self._chosen.typed(text)
        if plain:
            notes.count("control_tokens", len(plain))
        parts = self.encoded(text, (), plain) if text else {}
        found = tuple(chain.from_iterable(parts.values()))
        self.check_back(found, text, row, notes)
        return found

    def text(self, ids: Sequence[int] | NDArray[np.int32]) -> str:
        """What tokens say, special ones too."""
        # As an array, since transformers looks at each item of a list before it decodes any.
        said: str = self.tokenizer.decode(
            np.asarray(ids, np.int32), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return said

    def check_back(
        self, tokens: Sequence[int] | NDArray[np.int32], text: str, row: str, notes: Notes
    ) -> None:
        """See that tokens say what a text says, character by character.

        Raises:
            InputError: they do not (T006).
        """
        back = self.text(tokens)
        if unlike := first_difference(back, text):
            if normalize("NFC", back) == normalize("NFC", text):
                # Qwen's tokenizers compose characters first, at inference as well.
                notes.count("normalized")
                return
            raise InputError(
                f"row {row}: the tokens do not decode to the text: {unlike}",
                code="T006",
                help="a tokenizer that adds spaces or changes characters cannot say exactly what is trained; take another",
            )

    def _as_text(self, piece: str) -> list[int]:
        """A piece that looks like a control token, encoded as what it is: text."""
        ids: list[int] = self.tokenizer.encode(piece, add_special_tokens=False, split_special_tokens=True)
        if self.tokenizer.convert_tokens_to_ids(piece) not in ids:
            return ids
        # Added tokens that aren't special are found all the same, but never in halves.
        halves = self.tokenizer([piece[:1], piece[1:]], add_special_tokens=False)["input_ids"]
        return [*halves[0], *halves[1]]

    def _fit(self, sample: Sample, notes: Notes) -> list[Sample]:
        """The sample, or what the policy for overlong ones makes of it."""
        context, tokens = self.data.context, len(sample.tokens)
        if not sample.trained.any():
            return self._untrained(sample.id, "its only trained token is its first one", notes)
        if tokens <= context:
            return [sample]
        if self.data.overlong == "split":
            return self._split(sample, notes)
        whole = replace(
            sample, tokens=sample.tokens[:context], trained=sample.trained[:context], cut=tokens - context
        )
        if self.data.overlong == "drop" or not whole.trained.any():
            notes.dropped.append(
                Dropped(sample.id, "overlong", f"{tokens:,} tokens, and a row has {context:,}")
            )
            return []
        notes.count("cut")
        notes.count("cut_tokens", whole.cut)
        return [whole]

    def _split(self, sample: Sample, notes: Notes) -> list[Sample]:
        """Pieces that overlap by one token: the first of a piece is context only, and was trained in the one before."""
        context, pieces = self.data.context, []
        for number, begin in enumerate(range(0, len(sample.tokens) - 1, context - 1)):
            part = slice(begin, begin + context)
            trained = sample.trained[part].copy()
            trained[0] = False
            if trained.any():
                pieces.append(
                    replace(sample, id=f"{sample.id}#{number}", tokens=sample.tokens[part], trained=trained)
                )
            else:
                notes.count("untrained_pieces")
        notes.count("split")
        return pieces

    def _untrained(self, name: str, why: str, notes: Notes) -> list[Sample]:
        if self.data.untrained == "drop":
            notes.dropped.append(Dropped(name, "untrained", why))
            return []
        raise InputError(
            f"row {name} has no trained token: {why}",
            code="T003",
            help='mark a message of the assistant with `"train": true`, or leave such rows out: `--set data.untrained=drop`',
        )


def _check_whole(chat: Chat, text: str, spans: dict[int, Span], shown: set[int]) -> None:
    """See that nothing of a conversation is missing from its text, but the thinking that is not shown.

    Raises:
        InputError: something is missing (T005).
    """
    at = 0
    for n, message in enumerate(chat.messages):
        begin, end = spans.get(n, (at, len(text)))
        called = [leaf for call in message.tool_calls or [] for leaf in _leaves(call["function"])]
        thoughts = [message.reasoning_content or ""] if n in shown else []
        places = [_find(text, part, begin, end) for part in (message.content, *thoughts, *called)]
        if -1 in places:
            raise _fault(chat, f"message {n} ({message.role}) is not in the text, or not whole")
        # Templates put the system prompt where they like; all else stands in its order.
        if message.role != "system":
            at = end if n in spans else places[0]
    for tool in chat.tools:
        if (name := str(tool.get("function", tool).get("name", ""))) not in text:
            raise _fault(chat, f"the tool {name} is not in the text")


def _find(text: str, wanted: str, begin: int, end: int) -> int:
    """Where something is, as it is or inside a JSON string; space around it does not count."""
    at = text.find(wanted.strip(), begin, end)
    return at if at >= 0 else text.find(json.dumps(wanted.strip(), ensure_ascii=False)[1:-1], begin, end)


def _leaves(value: Any) -> Iterator[str]:
    """The names, strings and numbers in a tool call."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    elif not isinstance(value, bool) and value is not None:
        yield value if isinstance(value, str) else json.dumps(value)


def _fault(chat: Chat, why: str, help: str = "change the row, or name another template") -> InputError:
    return InputError(f"row {chat.id}: {why}", code="T005", help=help)


def _unfit(row: str, strategy: str, why: str, help: str | None = None) -> InputError:
    return InputError(
        f"row {row}: the mask `{strategy}` cannot be applied: {why}",
        code="L006",
        help=help or "a row with a mask ends with a turn that thinks; leave `mask` out of the others",
    )
