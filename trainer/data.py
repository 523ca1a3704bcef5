"""Conversations read, rendered, packed, and kept on disk, so that training only has to map them.

    packed/
      manifest.json            what it was made from and how, counts, hashes, efficiency and bounds; written last
      inputs.json              what it is being made from; there from the start
      samples/part-00000.arrow a sample a row: id, kind, tokens (int32), trained (bool); Arrow IPC, memory-mapped
      bins.arrow               a packed row a row: numbers, lengths and kinds of its samples, in training order
      dropped.jsonl            what was left out, and why
      tokenizer/               the tokenizer, with the template that was used
      lengths.png, report.html

Parts are sealed one by one, so an interrupted preparation goes on where it was. Packing is only an index: another
capacity or seed needs no second tokenisation.
"""

from __future__ import annotations

import copy
import errno
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dataforge.errors import InputError, OutputError, StorageError
from dataforge.files import arriving, sync, write_json
from trainer.config import Config, DataConfig
from trainer.conversations import Conversations
from trainer.disk import PARTIAL, discard, held, replace
from trainer.masks import Renderer
from trainer.pack import lower_bound, pack
from trainer.packed import (
    BINS,
    DROPPED,
    FORMAT,
    INPUTS,
    MANIFEST,
    META,
    PICTURES,
    TOKENIZER,
    PackedSet,
    Part,
    file_hash,
    part_path,
    stored,
    text_hash,
)
from trainer.pretrained import load_tokenizer
from trainer.rendering import CHUNK, Rendered, rendered
from trainer.samples import Notes, Sample

PART_CONVERSATIONS, PART_TOKENS = 4096, 16 * 2**20
"""A part is sealed at the first of these."""

_POLICIES = ("context", "overlong", "untrained")
_PACKING = ("packing", "window", "seed")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def prepare(config: Config, out: Path, *, progress: Callable[[int, int], None] | None = None) -> PackedSet:
    """Make the packed set of a configuration in `out`, or open it where it is there already.

    What was sealed stays, whatever ends this: the same call goes on from there.

    Args:
        config: `model` names tokenizer and template, `data` everything else.
        out: folder of the packed set.
        progress: told rows read, and how many there are. It may raise to stop.

    Raises:
        InputError: see `Conversations` and `masks.Renderer`; or `out` holds another set (T007).
    """
    source = Conversations(config.data.paths, config.data.kinds)
    prints = [(each.path.name, *each.fingerprint()) for each in source.sources]
    renderer = Renderer(load_tokenizer(config.model), config.model.template, config.data)
    inputs = _inputs(config.data, renderer, [(name, digest) for name, digest, _ in prints])
    with _alone(out):
        found = stored(out / MANIFEST) or {}
        if found.get("inputs") == inputs:
            return PackedSet(out)
        sealed = _resume(out, inputs)
        write_json(out / INPUTS, inputs)
        for stale in (MANIFEST, *PICTURES):
            (out / stale).unlink(missing_ok=True)
        if not sealed or not sealed[-1]["end"]:
            rows, skip = sum(n for *_, n in prints), sum(meta["conversations"] for meta in sealed)
            left = itertools.islice(source, skip, None)
            chunks = rendered(left, renderer, config.model.template, config.data, rows)
            told = progress or (lambda done, total: None)
            _seal_all(chunks, source, out, inputs, len(sealed), lambda: told(source.seen.total(), rows))
        _save_tokenizer(renderer, out / TOKENIZER)
        _finish(out, inputs, config.data)
    return PackedSet(out)


def _inputs(data: DataConfig, renderer: Any, files: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Everything that decides about the bytes of a set, as JSON."""
    tokenizer = renderer.tokenizer
    special = json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str)
    return {
        "format": FORMAT,
        "files": [{"name": name, "hash": digest} for name, digest in files],
        "tokenizer": text_hash(tokenizer.backend_tokenizer.to_str(), special, str(tokenizer.chat_template)),
        "template": {"name": renderer.template_name, "hash": text_hash(renderer.template)},
        "kinds": sorted(data.kinds),
        "history": data.history,
        **{name: getattr(data, name) for name in (*_POLICIES, *_PACKING)},
    }


def _base(inputs: Mapping[str, Any]) -> str:
    """Hash of the inputs on which tokens depend whatever the policies did."""
    rest = {name: value for name, value in inputs.items() if name not in (*_POLICIES, *_PACKING)}
    return text_hash(json.dumps(rest, sort_keys=True))


def _resume(out: Path, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the parts say of themselves that an earlier start sealed and that this one would make no other.

    Raises:
        InputError: they belong to another set (T007).
    """
    sealed, base = [], _base(inputs)
    for part in _sealed(out):
        same = part.meta["base"] == base
        if why := _unfit(part.meta, inputs) if same else _told(stored(out / INPUTS) or {}, inputs):
            raise InputError(
                f"{out} holds a packed set that was made otherwise: {why}",
                code="T007",
                help="give another folder, or remove this one; nothing was changed",
            )
        sealed.append(part.meta)
    return sealed


def _sealed(out: Path) -> Iterator[Part]:
    """The parts that are there, up to the first that is not."""
    for number in itertools.count():
        if not (path := part_path(out, number)).is_file():
            return
        yield Part.open(path)


def _unfit(meta: Mapping[str, Any], inputs: Mapping[str, Any]) -> str | None:
    """Why other policies would make another part, or None: one that had nothing to do in it may be another now."""
    then = meta["policies"]
    dropped = Counter(reason for _, reason, _ in meta["dropped"])
    if then["untrained"] != inputs["untrained"] and dropped["untrained"]:
        return "samples without a trained token were left out of it (untrained = drop)"
    if (then["context"], then["overlong"]) != (inputs["context"], inputs["overlong"]):
        touched = dropped["overlong"] + meta["counts"].get("cut", 0) + meta["counts"].get("split", 0)
        if touched or meta["longest"] > inputs["context"]:
            return (
                f"its samples were fitted to context = {then['context']} (overlong = {then['overlong']}),"
                f" and not all of them fit {inputs['context']} the same way"
            )
    return None


def _told(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two inputs of different bases, in words."""
    said = []
    for name, new in now.items():
        old = then.get(name)
        if old == new or name in _PACKING:
            continue
        if name == "files":
            before = {file["name"]: file["hash"] for file in old or ()}
            after = {file["name"]: file["hash"] for file in new}
            changed = [n for n in before.keys() | after.keys() if before.get(n) != after.get(n)]
            said.append(f"other data ({', '.join(sorted(changed)[:3]) or 'in another order'})")
        elif name in ("tokenizer", "template"):
            said.append(f"another {name}")
        else:
            said.append(f"{name} was {json.dumps(old)}, now {json.dumps(new)}")
    return "; ".join(said)


def _seal_all(
    chunks: Iterable[Rendered],
    source: Conversations,
    out: Path,
    inputs: Mapping[str, Any],
    number: int,
    progress: Callable[[], None],
) -> None:
    """Seal what is rendered, from part `number` on. The bytes depend on the conversations alone."""
    base, policies = _base(inputs), {name: inputs[name] for name in _POLICIES}
    samples: list[Sample] = []
    notes, conversations, tokens = Notes(), 0, 0
    for read, found, noted in chunks:
        samples += found
        notes.dropped += noted.dropped
        for what, n in noted.counts.items():
            notes.count(what, n)
        conversations += read
        tokens += sum(len(sample.tokens) for sample in found)
        progress()
        if (end := read < CHUNK) or conversations >= PART_CONVERSATIONS or tokens >= PART_TOKENS:
            meta = {
                "base": base,
                "policies": policies,
                "conversations": conversations,
                "rows": dict(source.seen) if end else {},
                "dropped": [[each.id, each.reason, each.detail] for each in notes.dropped],
                "counts": notes.counts,
                "longest": max((len(sample.tokens) for sample in samples), default=0),
                "end": end,
            }
            _seal(part_path(out, number), samples, meta)
            number, samples, notes, conversations, tokens = number + 1, [], Notes(), 0, 0


def _seal(path: Path, samples: Sequence[Sample], meta: Mapping[str, Any]) -> None:
    lengths = np.array([len(sample.tokens) for sample in samples], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    tokens = np.concatenate([np.empty(0, np.int32), *(sample.tokens for sample in samples)])
    trained = np.concatenate([np.empty(0, np.bool_), *(sample.trained for sample in samples)])
    assert lengths.all() and not trained[offsets[:-1]].any(), "a document whose first token is trained"
    columns = {
        "id": pa.array([sample.id for sample in samples], pa.string()),
        "kind": pa.array([sample.kind for sample in samples], pa.string()).dictionary_encode(),
        "tokens": pa.ListArray.from_arrays(offsets, pa.array(tokens, pa.int32())),
        "trained": pa.ListArray.from_arrays(offsets, pa.array(trained, pa.bool_())),
    }
    by_kind: dict[str, Counter[str]] = {}
    for sample in samples:
        sums = {"samples": 1, "tokens": len(sample.tokens), "trained": int(sample.trained.sum())}
        by_kind.setdefault(sample.kind, Counter()).update(sums)
    path.parent.mkdir(exist_ok=True)
    _write_arrow(path, columns, {**meta, "kinds": by_kind})


def _finish(out: Path, inputs: Mapping[str, Any], data: DataConfig) -> None:
    """Pack what is sealed, and say that the set is whole."""
    parts: list[int] = []
    lengths, kinds = [], []
    names: dict[str, int] = {}
    by_kind: dict[str, Counter[str]] = {}
    counts: Counter[str] = Counter()
    changes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    rows: dict[str, int] = {}
    with arriving(out / DROPPED) as stream:
        for part in _sealed(out):
            parts.append(len(part.ids))
            lengths.append(np.diff(part.offsets))
            numbers = [names.setdefault(name, len(names)) for name in part.kinds[0]]
            kinds.append(np.array(numbers, np.int32)[part.kinds[1]])
            for id, reason, detail in part.meta["dropped"]:
                reasons[reason] += 1
                line = {"id": id, "reason": reason, "detail": detail}
                stream.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            for name, sums in part.meta["kinds"].items():
                by_kind.setdefault(name, Counter()).update(sums)
                counts.update(sums)
            counts["conversations"] += part.meta["conversations"]
            changes.update(part.meta["counts"])
            rows = part.meta["rows"]  # of the last one: all that were read
    if not counts["samples"]:
        # Nothing is lost with them, and another policy may begin anew here.
        shutil.rmtree(out / "samples")
        why = ", ".join(f"{n:,} {reason}" for reason, n in sorted(reasons.items()))
        raise InputError(
            f"of {counts['conversations']:,} conversations none became a sample: {why} (context {data.context:,})",
            code="T002",
            help=f"see {out / DROPPED}; a larger data.context, or another data.overlong, would keep long ones",
        )
    length = np.concatenate(lengths)
    packing = pack(length, data.context, data.packing, window=data.window, shuffle=data.seed)
    starts = packing.starts.astype(np.int32)
    columns = {
        "samples": packing.order.astype(np.int64),
        "lengths": length[packing.order],
        "kinds": np.concatenate(kinds)[packing.order],
    }
    _write_arrow(
        out / BINS,
        {name: pa.ListArray.from_arrays(starts, pa.array(values)) for name, values in columns.items()},
    )
    room = len(packing) * data.context
    files = {
        path.relative_to(out).as_posix(): {"bytes": path.stat().st_size, "hash": file_hash(path)}
        for path in (
            *(part_path(out, n) for n in range(len(parts))),
            out / BINS,
            out / DROPPED,
            *sorted((out / TOKENIZER).iterdir()),
        )
    }
    contents = [str(file["hash"]) for name, file in files.items() if name.endswith(".arrow")]
    write_json(
        out / MANIFEST,
        {
            "packed": FORMAT,
            "digest": text_hash(*contents, str(data.context)),
            "inputs": inputs,
            "rows_read": rows,
            "counts": {**counts, "dropped": dict(reasons), "changes": dict(changes)},
            "kinds": list(names),
            "by_kind": by_kind,
            "packing": {
                "rows": len(packing),
                "efficiency": packing.efficiency,
                "padding": room - packing.tokens,
                "rows_by_total": -(-packing.tokens // data.context),
                "rows_at_least": lower_bound(length, data.context),
            },
            "parts": parts,
            "files": files,
            "versions": {name: version(name) for name in ("transformers", "tokenizers", "pyarrow", "numpy")},
        },
    )


def _save_tokenizer(renderer: Any, folder: Path) -> None:
    tokenizer = copy.deepcopy(renderer.tokenizer)
    tokenizer.chat_template = renderer.template
    part = folder.with_name(folder.name + PARTIAL)
    discard(part)
    tokenizer.save_pretrained(part)
    for file in part.iterdir():
        sync(file)
    replace(folder, part)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold a folder for this process alone, and say what the disk refuses in words.

    Raises:
        InputError: it is in use, or holds something else (T007).
        StorageError, OutputError: it cannot be written (R021).
    """
    try:
        with ExitStack() as ours:
            try:
                ours.enter_context(held(out))
            except BlockingIOError as error:
                raise InputError(
                    f"{out} is being written by another process",
                    code="T007",
                    help="wait for it, or give another folder",
                ) from error
            if not (out / INPUTS).exists() and any(not path.name.startswith(".") for path in out.iterdir()):
                raise InputError(
                    f"{out} is not empty, and holds no packed set",
                    code="T007",
                    help="give a new folder; nothing was changed",
                )
            yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise StorageError(
                f"the disk refused: {out} cannot be written: {error.strerror}",
                help="make room and start the same command again: it goes on after the last part that was sealed",
            ) from error
        raise OutputError(
            f"{out} cannot be written: {error.strerror or error}", code="R021", help="give another folder"
        ) from error


def _write_arrow(path: Path, columns: Mapping[str, pa.Array], meta: Mapping[str, Any] | None = None) -> None:
    batch = pa.record_batch(dict(columns))
    schema = batch.schema.with_metadata({META: json.dumps(meta or {}, ensure_ascii=False)})
    with arriving(path) as stream, pa.ipc.new_file(stream, schema) as writer:
        writer.write_batch(batch.replace_schema_metadata(schema.metadata))
