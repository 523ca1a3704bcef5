"""A corpus as a file of lines for another trainer: which rows go in, in which form, and what was left out and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from dataforge.corpus.read import read_rows
from dataforge.errors import InputError
from dataforge.interop.forms import FORMS, UNMARKED, Thinking, has_untrained_turns
from dataforge.interop.groups import ScoredResponse, Tokenise, group_of, write_lines
from dataforge.interop.preferences import Pairs, pairs, preference
from dataforge.interop.siblings import siblings
from schemas.chat import Message

Kinds = Literal["final", "call", "all"]
TARGETS = ("preference", "groups", *FORMS)
_TOLD_EVERY = 1_000


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is written.

    Attributes:
        to: one of `TARGETS`.
        kinds: rows of these kinds, for the forms of messages.
        thinking: what becomes of it; None is what suits the form.
        pairs, max_pairs: of each prompt, for `preference`.
        tokenise: makes tokens and masks, for `groups`; None leaves them empty.
    """

    to: str
    kinds: Kinds = "final"
    thinking: Thinking | None = None
    pairs: Pairs = "best"
    max_pairs: int = 8
    tokenise: Tokenise | None = None


@dataclass(slots=True)
class Exported:
    """What was written.

    Attributes:
        written: lines: rows, pairs or groups.
        prompts: of how many prompts, for pairs and groups.
        left_out: what was not written, by reason.
        notes: what the form could not say of what was written.
    """

    written: int = 0
    prompts: int = 0
    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        return {
            "written": self.written,
            "prompts": self.prompts,
            "read": self.read,
            "left_out": dict(self.left_out),
            "notes": dict(self.notes),
        }


def export(
    directory: Path,
    out: Path,
    options: ExportOptions,
    heard: Callable[[Exported], None] = lambda so_far: None,
) -> Exported:
    """Write a corpus to a file, whole or not at all.

    Raises:
        InputError: V034, where there is nothing to write.
        OutputError: R023, where the directory holds no whole corpus; R021, where the file cannot be written.
        StorageError: where the disk refuses.
    """
    done = Exported()

    def lines() -> Iterator[bytes]:
        if options.to == "preference":
            made = _preferences(directory, out, options, done, heard)
        elif options.to == "groups":
            made = _groups(directory, out, options, done, heard)
        else:
            made = _rows(directory, options, done, heard)
        for line in made:
            done.written += 1
            yield line
        heard(done)
        if not done.written:
            raise _nothing(directory, options, done)

    write_lines(out, lines())
    return done


def _rows(
    directory: Path, options: ExportOptions, done: Exported, heard: Callable[[Exported], None]
) -> Iterator[bytes]:
    form = FORMS[options.to]
    for row in read_rows(directory):
        done.read += 1
        if done.read % _TOLD_EVERY == 0:
            heard(done)
        if options.kinds not in ("all", row.kind):
            continue
        if not row.messages:
            done.left_out["without messages"] += 1
            continue
        if options.to in UNMARKED and has_untrained_turns(row):
            done.notes["rows with turns of the assistant that are not to be trained"] += 1
        yield _line(form(row, options.thinking))


def _preferences(
    directory: Path, out: Path, options: ExportOptions, done: Exported, heard: Callable[[Exported], None]
) -> Iterator[bytes]:
    for samples in siblings(directory, out.parent, both=True, heard=_reading(done, heard)):
        found, alike = pairs(samples, options.pairs, options.max_pairs)
        done.left_out["pairs that say nearly the same"] += alike
        done.prompts += bool(found)
        for chosen, rejected in found:
            yield _line(preference(chosen, rejected, options.thinking or "field"))
    done.left_out += Counter()  # without those that are zero


def _groups(
    directory: Path, out: Path, options: ExportOptions, done: Exported, heard: Callable[[Exported], None]
) -> Iterator[bytes]:
    for samples in siblings(directory, out.parent, both=False, heard=_reading(done, heard)):
        responses = [
            ScoredResponse(
                (*(m.model_copy(update={"train": False}) for m in s.prompt), _trained(s.answer)),
                s.score,
                tuple(orjson.loads(tool) for tool in s.row.tools or ()),
            )
            for s in samples
            if s.score is not None
        ]
        try:
            group = group_of(responses, options.tokenise)
        except InputError as error:
            done.left_out[f"groups that the tokenizer cannot render ({error.code})"] += 1
            continue
        done.prompts += 1
        yield group.line()


def _trained(message: Message) -> Message:
    return message.model_copy(update={"train": True})


def _reading(done: Exported, heard: Callable[[Exported], None]) -> Callable[[int], None]:
    def read(rows: int) -> None:
        done.read = rows
        heard(done)

    return read


def _line(value: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a number beyond 64 bits, in a tool's arguments
        return json.dumps(value, ensure_ascii=False).encode()


def _nothing(directory: Path, options: ExportOptions, done: Exported) -> InputError:
    if options.to == "preference":
        why = "no prompt has both a sample that was verified and one that a verifier turned away"
        help = "both are rows of a node with `verify NAME { samples N }`; look at `dataforge show --calls` and `--rejected`"
        if done.left_out:
            why, help = "all pairs say nearly the same", "draw more samples, or warmer ones"
    elif options.to == "groups":
        why = "no call has a verifier's score on record"
        help = "scored are the samples of a node with `verify NAME { samples N }`"
        if done.left_out:
            why, help = (
                "the tokenizer can render none of the groups",
                "name another --tokenizer or --template",
            )
    else:
        why = f"it has no row of the kind `{options.kinds}`"
        help = "--kind all takes finished samples and single calls alike"
    return InputError(f"{directory} holds nothing to export to `{options.to}`: {why}", code="V034", help=help)
