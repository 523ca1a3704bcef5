"""Chat templates: which one is used, and what it makes of a conversation.

A template whose `{% generation %}` markers say what the assistant wrote is used as it is. Most models' own have none;
for those there are twins in `templates/`: our own writing of a family's format, with markers. A twin is taken only where
it renders what the tokenizer's own template renders, which is checked again on every conversation.

Text that merely looks like a control token, because someone typed it, stays text: where messages contain one, it is
followed through the template, and its place is handed on so that it is not encoded as a control token.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from dataforge.errors import InputError
from schemas.chat import Message

SHIPPED = {file.stem: file for file in sorted((Path(__file__).parent / "templates").glob("*.jinja"))}

TAGS = frozenset(
    f"<{end}{name}>" for name in ("think", "tool_call", "tool_response", "tools") for end in ("", "/")
)
"""Tokens that models are meant to write and to read in messages: they are no borders of turns."""

_MARKER = re.compile(r"\{%-?\s*generation\s*-?%\}")
_READS_REASONING = re.compile(r"reasoning_content|message(\.|\[['\"])(thinking|reasoning)\b")
_TURN_TOKEN = re.compile(r"<\|\w+\|>")
# Some templates print today's date, and a corpus must not render otherwise tomorrow: Llama 3.1's own default.
_DATE = "26 Jul 2024"
_KEEP = {"keep_cots": True, "preserve_thinking": True, "clear_thinking": False}

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chat:
    """What a template is given.

    Attributes:
        id: of the conversation, for messages about it.
        thinking: the reasoning mode, handed on as `enable_thinking` and `thinking`.
        keep: ask the template to leave the thinking of earlier turns in.
    """

    id: str
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()
    thinking: bool = False
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a template made of it.

    Attributes:
        spans: begin and end of each part of `text` that the template marks as the assistant's.
        plain: begin and end of what looks like a control token and is not, since a message contains it.
    """

    text: str
    spans: tuple[Span, ...] = ()
    plain: tuple[Span, ...] = ()


class Template:
    """A chat template with the tokenizer that it is for.

    Attributes:
        name: `own`, the name of a shipped one, or a path.
        source: in Jinja.
        marked: whether it has generation markers.
    """

    def __init__(self, name: str, source: str, tokenizer: Any) -> None:
        self.name = name
        self.source = source
        self.marked = _MARKER.search(source) is not None
        self._names = dict(tokenizer.special_tokens_map)
        self._folds = _READS_REASONING.search(source) is None
        added = tokenizer.added_tokens_decoder.values()
        control = {t.content for t in added if t.special or t.content in source} - TAGS
        self._control = re.compile(
            "|".join(sorted(re.escape(c) for c in control if not c.isspace())) or "(?!)"
        )
        self._headers: dict[bool, str] = {}

    def render(self, chat: Chat, *, prompt: bool = False) -> Rendered:
        """The text of a conversation, with the header of the next turn behind it if it is a prompt.

        Raises:
            InputError: the template refuses this conversation (T005).
        """
        given = [[self._fields(message) for message in chat.messages], list(chat.tools)]
        written = json.dumps(given, ensure_ascii=False)
        if self._control.search(written) is None:
            return Rendered(*self._fill(given, chat, prompt))
        left, right = islice((c for c in map(chr, range(0xF0000, 0xFFFFE)) if c not in written), 2)
        framed = _each_string(given, lambda text: self._control.sub(rf"{left}\g<0>{right}", text))
        text, spans = self._fill(framed, chat, prompt)
        frames = [match.start() for match in re.finditer(f"[{left}{right}]", text)]
        plain = [match.span() for match in re.finditer(f"{left}[^{left}{right}]*{right}", text)]
        bare = text.replace(left, "").replace(right, "")
        if len(frames) != 2 * len(plain) or bare != self._fill(given, chat, prompt)[0]:
            raise self._refusal(chat, "it changes what looks like a control token in a message")
        unframed = [
            tuple((b - bisect_left(frames, b), e - bisect_left(frames, e)) for b, e in ranges)
            for ranges in (spans, plain)
        ]
        return Rendered(bare, *unframed)

    def typed(self, text: str) -> list[Span]:
        """Where a text contains what looks like a control token: its author typed it."""
        return [match.span() for match in self._control.finditer(text)]

    def header(self, thinking: bool) -> str:
        """What the template puts before an answer at inference: the assistant's header, and whatever belongs to it."""
        if thinking not in self._headers:
            chat, bare, asked = replace(_PROBES[0], messages=(_ASKS,), thinking=thinking), "", ""
            with suppress(InputError):
                bare, asked = self.render(chat).text, self.render(chat, prompt=True).text
            self._headers[thinking] = asked[len(bare) :] if asked.startswith(bare) else ""
        return self._headers[thinking]

    def differs(self, stock: Template, chat: Chat, ours: str | None = None) -> str | None:
        """Where this template and the tokenizer's own part ways on a conversation, or None where they do not.

        Some templates take the thinking out of the last turn too, since at inference there is none yet. What comes
        before that turn is then all that they have to say about it, and that is compared instead.
        """
        ours, theirs = ours or self.render(chat).text, ""
        with suppress(InputError):
            theirs = stock.render(chat).text
        if ours == theirs:
            return None
        last = max((n for n, message in enumerate(chat.messages) if message.role == "assistant"), default=0)
        before = replace(chat, messages=chat.messages[:last])
        prompts = [template.render(before, prompt=True).text for template in (self, stock)]
        emptied = not theirs or (chat.messages[last].reasoning_content and last not in stock.shows(chat))
        return first_difference(*(prompts if emptied else (ours, theirs)))

    def shows(self, chat: Chat) -> set[int]:
        """The turns whose thinking is in the text: seen by a sign in its place, since a word of it may stand anywhere."""
        signs = {n: f"\U0010fffd{n}\U0010fffd" for n, m in enumerate(chat.messages) if m.reasoning_content}
        if not signs:
            return set()
        told = [m.model_copy(update={"reasoning_content": signs.get(n)}) for n, m in enumerate(chat.messages)]
        text = self.render(replace(chat, messages=tuple(told))).text
        return {n for n, sign in signs.items() if sign in text}

    def _fields(self, message: Message) -> dict[str, Any]:
        """A message as templates read it. Thinking goes into the content of those that read it nowhere else."""
        fields = message.model_dump(exclude={"train"}, exclude_none=True)
        if self._folds and (thoughts := fields.pop("reasoning_content", "")):
            thoughts, content = thoughts.strip("\n"), message.content.lstrip("\n")
            fields["content"] = f"<think>\n{thoughts}\n</think>\n\n{content}"
        return fields

    def _fill(self, given: list[Any], chat: Chat, prompt: bool) -> tuple[str, tuple[Span, ...]]:
        flags = {"enable_thinking": chat.thinking, "thinking": chat.thinking, "date_string": _DATE}
        try:
            rendered: Any = render_jinja_template(
                conversations=given[:1],
                tools=given[1] or None,
                chat_template=self.source,
                return_assistant_tokens_mask=self.marked,
                add_generation_prompt=prompt,
                **{**self._names, **flags, **(_KEEP if chat.keep else {})},
            )
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise self._refusal(chat, str(error)) from error
        (text,), spans = rendered
        return text, tuple(spans[0]) if self.marked else ()

    def _refusal(self, chat: Chat, why: str) -> InputError:
        return InputError(
            f"row {chat.id}: the chat template `{self.name}` cannot render it: {why}",
            code="T005",
            help="leave the row out, or name another template with `--set model.template=…`",
        )


def choose(tokenizer: Any, asked: str) -> tuple[Template, Template | None]:
    """The template to use, and the tokenizer's own where the two must be held together.

    Args:
        tokenizer: of transformers.
        asked: `auto`, the name of a shipped template, or a path.

    Raises:
        InputError: no such template (T001), it has no markers and no twin either (T004), or it writes control tokens
            that the tokenizer does not have (T006).
    """
    if asked == "auto":
        if not tokenizer.chat_template:
            raise _unmarked("the tokenizer has no chat template")
        own = Template("own", tokenizer.get_chat_template(), tokenizer)
        return (own, None) if own.marked else (_twin(own, tokenizer), own)
    try:
        source = SHIPPED.get(asked, Path(asked)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"`model.template` is `{asked}`, which cannot be read: {error}",
            code="T001",
            help=f"it is `auto`, a .jinja file, or one of {', '.join(SHIPPED)}",
        ) from error
    chosen = Template(asked, source, tokenizer)
    if not chosen.marked:
        raise _unmarked(
            f"the chat template `{asked}` has no generation markers that say what the assistant wrote"
        )
    if foreign := set(_TURN_TOKEN.findall(source)) - set(tokenizer.get_added_vocab()):
        raise InputError(
            f"the chat template `{asked}` writes {', '.join(sorted(foreign))}: no token of this tokenizer",
            code="T006",
            help="take the template of the model's own family, or add the tokens to the tokenizer and the model",
        )
    return chosen, None


def _twin(own: Template, tokenizer: Any) -> Template:
    """The shipped template that renders the most probes as the tokenizer's own does, the plainest one among them."""
    twins = [Template(name, file.read_text(encoding="utf-8"), tokenizer) for name, file in SHIPPED.items()]
    alike = [[_alike(twin, own, probe) for probe in _PROBES] for twin in twins]
    best = max(range(len(twins)), key=lambda n: (alike[n][0] == 1, alike[n].count(1), alike[n][0]))
    if alike[best][0] == 1:
        return twins[best]
    raise _unmarked(
        f"the tokenizer's chat template has no generation markers, and none of the shipped twins ({', '.join(SHIPPED)}) "
        f"renders the same; the nearest is `{twins[best].name}`: {twins[best].differs(own, _PROBES[0])}"
    )


def _alike(twin: Template, own: Template, probe: Chat) -> float:
    """How much of a probe two templates render alike, from its beginning: 1 for all of it."""
    try:
        if twin.differs(own, probe) is None:
            return 1.0
        ours, theirs = twin.render(probe).text, own.render(probe).text
    except InputError:
        return 0.0
    return _shared(ours, theirs) / (1 + max(len(ours), len(theirs)))


def _unmarked(what: str) -> InputError:
    return InputError(
        what,
        code="T004",
        help="write a .jinja file with {% generation %} before what the assistant says and {% endgeneration %} behind "
        f"its end of turn, and name it with `--set model.template=…`; or name one of {', '.join(SHIPPED)}",
    )


def without_markers(template: str) -> str:
    """A chat template without generation markers, which other engines don't know. It renders the same text.

    A marker becomes a comment, which trims white space around it as the marker did.
    """
    return re.sub(r"\{%([-+]?)\s*(?:end)?generation\s*([-+]?)%\}", r"{#\1 \2#}", template)


def first_difference(ours: str, theirs: str) -> str | None:
    """Where two texts part ways, for people."""
    if ours == theirs:
        return None
    at = _shared(ours, theirs)
    here = slice(max(0, at - 20), at + 40)
    return f"at character {at} it has {ours[here]!r} where the other has {theirs[here]!r}"


def _shared(ours: str, theirs: str) -> int:
    pairs = enumerate(zip(ours, theirs, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(ours), len(theirs)))


def _each_string(value: Any, change: Callable[[str], str]) -> Any:
    """The same value with every string in it changed, keys too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _each_string(item, change) for key, item in value.items()}
    return [_each_string(item, change) for item in value] if isinstance(value, list | tuple) else value


_ASKS = Message(role="user", content="one")
_SAYS = Message(role="assistant", content="two")
_CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": "ü"}}}
_CALLS = Message(role="assistant", content="", tool_calls=[_CALL])
_GIVES = Message(role="tool", content="2", tool_call_id="1")
_TOOL = {
    "type": "function",
    "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}},
}
_PROBES = (
    Chat("probe", (_ASKS, _SAYS)),
    Chat("probe", (_ASKS, _SAYS.model_copy(update={"reasoning_content": "hm"})), thinking=True),
    Chat("probe", (_ASKS, _CALLS, _GIVES, _SAYS), tools=(_TOOL,)),
)
