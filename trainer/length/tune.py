"""Tuning: rows with a mask mixed with ordinary ones, and a training run on both.

    out/
      rows/                   the mix: data/train-00000-of-00001.jsonl, and manifest.json, written last
      config.toml packed/ …   a run of `trainer.train`, on these rows

With the mask `tag` a row trains two tokens, whatever it teaches: the thinking before the tag is all examples of what the
policy does already. Ordinary rows, trained as ever, keep the rest of the model where it was, and show positions at which
the thinking does *not* end. So none of them may think past the budget: it would show that thinking goes on there, a
hundred times a sample, against one tag. How many there are is counted in samples, since a share of trained tokens would
mean one ordinary sample to a hundred tagged ones.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from dataforge.errors import InputError
from dataforge.files import arriving, write_json
from trainer.config import Config
from trainer.conversations import Conversations, apart
from trainer.data import prepare
from trainer.disk import discard, held, refused
from trainer.length.trace import encode
from trainer.masks import Renderer
from trainer.packed import PackedSet, stored, text_hash
from trainer.pretrained import load_tokenizer
from trainer.samples import Conversation, Notes

SHARE = 0.5
"""Of ordinary samples, where nothing else is asked for: see docs/length.md for what it rests on."""

FORMAT = 1
MANIFEST, ROWS, PACKED = "manifest.json", "data/train-00000-of-00001.jsonl", "packed"


@dataclass(frozen=True, slots=True)
class Mix:
    """What a mix is made of.

    Attributes:
        masked: folders of `length mask`; every row of theirs is in it.
        ordinary: corpora, chat files and `finished/` folders of traces; drawn from without replacement. Where all masked
            rows have one budget, rows that think past it are left out.
        share: of ordinary samples, from 0 to below 1.
        kinds: of ordinary rows that are drawn from.
        seed: of the draw.
    """

    masked: tuple[Path, ...]
    ordinary: tuple[Path, ...]
    share: float = SHARE
    kinds: tuple[str, ...] = ("final",)
    seed: int = 0

    def needed(self, masked: int) -> int:
        """Ordinary samples beside so many masked ones: the share is kept within half a sample."""
        return round(masked * self.share / (1 - self.share))


def mix(plan: Mix, out: Path, tokenizer: Any) -> dict[str, Any]:
    """Make the folder of a mix, or find it made.

    Args:
        tokenizer: of the model, to measure thinking by.

    Returns:
        Its manifest.

    Raises:
        InputError: settings at odds, too few ordinary samples, or some rows twice (L001); a row without a mask, or an ordinary one with a
            mask (L006); the folder holds another mix (L007); something cannot be read (T002).
        StorageError: the disk refused (R021).
    """
    if not 0 <= plan.share < 1:
        raise InputError(
            f"the share of ordinary samples is {plan.share:g}",
            code="L001",
            help="it is from 0 to below 1, such as --mix 0.5",
        )
    if plan.share and not plan.ordinary:
        raise InputError(
            f"the share of ordinary samples is {plan.share:g}, and none are named",
            code="L001",
            help="name corpora or chat files with --ordinary, or give --mix 0",
        )
    masked, ordinary = (
        Conversations([*map(str, paths)], plan.kinds) for paths in (plan.masked, plan.ordinary)
    )
    inputs: dict[str, Any] = {
        "masked": _fingerprints(masked),
        "ordinary": _fingerprints(ordinary),
        "share": plan.share,
        "kinds": sorted(plan.kinds),
        "seed": plan.seed,
        "tokenizer": text_hash(tokenizer.backend_tokenizer.to_str()),
    }
    for files in (inputs["masked"], inputs["ordinary"]):
        _check_once(files)
    try:
        with held(out):
            return _found(out, inputs) or _make(plan, masked, ordinary, out, inputs, tokenizer)
    except BlockingIOError as error:
        raise InputError(
            f"{out} is being written by another process",
            code="L007",
            help="wait for it, or give another --out",
        ) from error
    except OSError as error:
        raise refused(out, error) from error


def _fingerprints(rows: Conversations) -> list[dict[str, str]]:
    return [{"name": source.path.name, "hash": source.fingerprint()[0]} for source in rows.sources]


def _check_once(files: Iterable[dict[str, str]]) -> None:
    """Refuse files that are named twice, under whatever names: their rows would count double."""
    known: set[str] = set()
    for file in files:
        if file["hash"] in known:
            raise InputError(
                f"the rows of {file['name']} are named twice",
                code="L001",
                help="name each folder or file once",
            )
        known.add(file["hash"])


def _found(out: Path, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest that is there, where it is of the same mix."""
    there = stored(out / MANIFEST)
    if there is None:
        return None
    before = there.get("inputs", {})
    differ = [name for name, value in inputs.items() if before.get(name) != value]
    if differ:
        told = ", ".join(
            f"other {name} rows"
            if name in ("masked", "ordinary")
            else f"`{name}` is {before.get(name)!r} there and {inputs[name]!r} here"
            for name in differ
        )
        raise InputError(
            f"{out} holds another mix: {told}",
            code="L007",
            help="choose another --out, or name the same rows; nothing was changed",
        )
    return there


def _make(
    plan: Mix,
    masked: Conversations,
    ordinary: Conversations,
    out: Path,
    inputs: dict[str, Any],
    tokenizer: Any,
) -> dict[str, Any]:
    given = [row.budget for row in _masked(masked)]
    tagged, needed = len(given), plan.needed(len(given))
    # An ordinary prompt asks for no budget, so its row is held to the longest of those that others ask for.
    budget = max((budget for budget in given if budget is not None), default=None)
    fitting, too_long = _fitting(_ordinary(ordinary), budget, tokenizer) if needed else ([], 0)
    if needed > len(fitting):
        beside = f" besides {too_long:,} that think past the budget of {budget:,} tokens" if too_long else ""
        raise InputError(
            f"a share of {plan.share:g} beside {tagged:,} masked samples takes {needed:,} ordinary ones, and there are"
            f" {len(fitting):,}{beside}",
            code="L001",
            help="name more with --ordinary"
            + f", or take a share of {_enough(tagged, len(fitting)):g}: --mix, or `length.mix` of a settings file",
        )
    drawn = frozenset(random.Random(plan.seed).sample(fitting, needed))
    chosen = (row for at, row in enumerate(_ordinary(ordinary) if needed else ()) if at in drawn)
    kinds: Counter[str] = Counter()
    hasher = hashlib.blake2b(digest_size=16)
    (out / ROWS).parent.mkdir(exist_ok=True)
    with arriving(out / ROWS) as stream:
        for row in itertools.chain(_masked(masked), chosen):
            line = json.dumps(_fields(row), ensure_ascii=False).encode() + b"\n"
            hasher.update(line)
            stream.write(line)
            kinds[_kind(row)] += row.mask is not None
    manifest = {
        "mix": FORMAT,
        "inputs": inputs,
        "masked": tagged,
        "ordinary": needed,
        "of_ordinary": len(fitting),
        "budget": budget,
        "too_long": too_long,
        "kinds": sorted(kind for kind, n in kinds.items() if n),
        "files": {ROWS: hasher.hexdigest()},
    }
    write_json(out / MANIFEST, manifest)
    return manifest


def _enough(masked: int, ordinary: int) -> float:
    """The largest share, in thousandths, that so many ordinary samples do for."""
    return math.floor(1000 * ordinary / (ordinary + masked)) / 1000


def _masked(rows: Iterable[Conversation]) -> Iterator[Conversation]:
    known: set[str] = set()
    for row in rows:
        if row.id in known:
            raise InputError(
                f"row {row.id}: is there twice among the masked rows",
                code="L001",
                help="name one folder of `dataforge length mask` for each folder of traces",
            )
        known.add(row.id)
        if row.mask is None:
            raise InputError(
                f"row {row.id}: has no mask, and is named among the masked rows",
                code="L006",
                help="name folders of `dataforge length mask` first, and ordinary rows with --ordinary",
            )
        yield row


def _ordinary(rows: Iterable[Conversation]) -> Iterator[Conversation]:
    for row in rows:
        if row.mask is not None:
            raise InputError(
                f"row {row.id}: has the mask `{row.mask}`, and is named among the ordinary rows",
                code="L006",
                help="name masked rows before --ordinary; all of them are trained on",
            )
        yield row


def _fitting(rows: Iterable[Conversation], budget: int | None, tokenizer: Any) -> tuple[list[int], int]:
    """The numbers of the rows that do not think past the budget, and how many do."""
    fitting, read = [], 0
    for row in rows:
        if budget is None or _thinking(row, tokenizer) <= budget:
            fitting.append(read)
        read += 1
    return fitting, read - len(fitting)


def _thinking(row: Conversation, tokenizer: Any) -> int:
    """Tokens of thinking of the turn that has most, among those that are trained."""
    thoughts = (apart(message)[0] for message in row.messages if message.train)
    return max((len(encode(text.strip(), tokenizer)) for text in thoughts if text), default=0)


def _fields(row: Conversation) -> dict[str, Any]:
    """A conversation as `trainer.conversations` reads it again."""
    told = {f.name: getattr(row, f.name) for f in fields(row)}
    told["messages"] = [message.model_dump(exclude_none=True) for message in row.messages]
    return {name: value for name, value in told.items() if value not in (None, ())}


def _kind(row: Conversation) -> str:
    """What `trainer.masks` calls the kind of a masked row's sample."""
    return f"{row.kind}-{(row.mask or '').partition(':')[0]}"


def prepared(config: Config, rows: Path, out: Path) -> tuple[Config, dict[str, Any]]:
    """Tokenise a mix for a training run in `out`, and see that every masked sample is in it whole.

    Returns:
        The configuration that trains on it, and samples, tokens and trained tokens by kind of sample.

    Raises:
        InputError: `data.context` does not hold a masked sample (L001); and as `trainer.data.prepare`.
    """
    if config.data.overlong != "drop":
        raise InputError(
            f"`data.overlong` is {config.data.overlong}: a masked sample that is cut has lost its tag",
            code="L001",
            help="leave it at drop; data.context must hold all masked samples anyway",
        )
    from trainer.metrics import preparing

    mixed = stored(rows / MANIFEST) or {}
    config = replace(config, data=replace(config.data, paths=(str(rows),)))
    with preparing() as progress:
        data = prepare(config, out / PACKED, progress=progress)
    by_kind: dict[str, dict[str, int]] = data.manifest["by_kind"]
    whole = sum(by_kind.get(kind, {}).get("samples", 0) for kind in mixed["kinds"])
    if whole != mixed["masked"]:
        longest = _longest(config, rows)
        # Made anew with a larger context, it would be refused for having been made with this one.
        discard(out / PACKED)
        raise InputError(
            f"{mixed['masked'] - whole:,} of {mixed['masked']:,} masked samples are longer than a row, which has"
            f" {config.data.context:,} tokens; the longest has {longest:,}",
            code="L001",
            help=f"make rows as long, data.context={longest}; nothing was trained yet",
        )
    return config, counts(data, mixed)


def _longest(config: Config, rows: Path) -> int:
    """Tokens of the longest masked sample."""
    roomy = replace(config.data, context=2**24)
    renderer = Renderer(load_tokenizer(config.model), config.model.template, roomy)
    masked = (row for row in Conversations([str(rows)], config.data.kinds) if row.mask is not None)
    return max(len(sample.tokens) for row in masked for sample in renderer.samples(row, Notes()))


def counts(data: PackedSet, mixed: dict[str, Any]) -> dict[str, Any]:
    """What a run will see: samples, tokens and trained tokens of masked and of ordinary samples, and what was left out."""
    found: dict[str, Any] = {}
    for name in ("masked", "ordinary"):
        kinds = [
            told
            for kind, told in data.manifest["by_kind"].items()
            if (kind in mixed["kinds"]) == (name == "masked")
        ]
        found[name] = {what: sum(told[what] for told in kinds) for what in ("samples", "tokens", "trained")}
    left_out = data.manifest["counts"]["dropped"]
    drawn = {name: mixed[name] for name in ("of_ordinary", "budget", "too_long")}
    return found | drawn | {"left_out": left_out, "rows": len(data), "context": data.context}


def shares(told: dict[str, Any]) -> str:
    """`counts` in a line for people."""
    total = {
        what: sum(told[name][what] for name in ("masked", "ordinary"))
        for what in ("samples", "tokens", "trained")
    }
    parts = [
        f"{told[name]['samples']:,} {name} ({told[name]['samples'] / total['samples']:.1%} of samples,"
        f" {told[name]['tokens'] / total['tokens']:.1%} of tokens, {told[name]['trained'] / total['trained']:.2%} of trained"
        " tokens)"
        for name in ("masked", "ordinary")
    ]
    left_out = "".join(f"; {n:,} {why} left out" for why, n in told["left_out"].items())
    if told["too_long"]:
        left_out += f"; left out of the draw, thinking past {told['budget']:,} tokens: {told['too_long']:,}"
    return f"{' and '.join(parts)} in {told['rows']:,} rows of {told['context']:,} tokens{left_out}"


def main_process() -> bool:
    """Whether this process is the one that prepares and speaks; under `torchrun` there are others."""
    return os.environ.get("RANK", "0") == "0"


def tune(
    config: Config, plan: Mix, out: Path, *, tell: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Mix, and train on the mix; or go on where an earlier start of the same was stopped.

    Args:
        config: of the training run; `data.paths` is the mix's.
        tell: told what the mix is, before the first step.

    Returns:
        The summary of the run, with `mix` in it; empty in processes that do not speak.

    Raises:
        InputError, RunError, Interrupted: as `mix`, `prepared` and `trainer.train.train`.
    """
    from trainer.train import train

    rows = out / "rows"
    told: dict[str, Any] = {}
    if main_process():
        mix(plan, rows, load_tokenizer(config.model))
        config, told = prepared(config, rows, out)
        tell(shares(told))
    else:
        config = replace(config, data=replace(config.data, paths=(str(rows),)))
    summary = train(config, out)
    return summary and summary | {"mix": told}


def control(config: Config, tuned: Path, steps: int, out: Path) -> dict[str, Any]:
    """Train on the ordinary rows of a mix alone, as many of them a step, for as many steps: what they do by themselves.

    Args:
        config: what `tune` was given.
        tuned: the folder that it made.
        steps: that it took.
        out: folder of the run; started again on it, it goes on.

    Returns:
        The summary of the run, with `batch` (rows a step) and `samples` in it.

    Raises:
        InputError: the mix has no ordinary rows (L001); and as `trainer.train.train`.
        StorageError: the disk refused (R021).
    """
    from trainer.metrics import preparing
    from trainer.train import train

    rows = out / "rows.jsonl"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (tuned / "rows" / ROWS).open("rb") as mixed, arriving(rows) as stream:
            stream.writelines(line for line in mixed if "mask" not in json.loads(line))
    except OSError as error:
        raise refused(out, error) from error
    if not rows.stat().st_size:
        raise InputError(
            "a control trains on the ordinary samples of the mix, and it has none",
            code="L001",
            help="name some with --ordinary or `length.ordinary`, or leave the control out",
        )
    config = replace(config, data=replace(config.data, paths=(str(rows),)))
    with preparing() as progress:
        data = prepare(config, out / PACKED, progress=progress)
    share = len(data) / len(PackedSet(tuned / PACKED))
    batch = max(1, round(config.train.rows * share))
    micro = min(config.train.micro_rows, batch)
    config = replace(config, train=replace(config.train, steps=steps, rows=batch, micro_rows=micro))
    return train(config, out) | {"batch": batch, "samples": data.manifest["counts"]["samples"]}
