"""Sealed shards → corpus: their Parquet files under their final names, card and manifest, the manifest last.

The manifest is what says that a corpus is whole. Writing begins by removing an old one and ends by putting the new one
in place, so that a crash in between leaves a directory that nobody takes for a corpus, and never a mix of two. The
shards' files are linked, not copied, where the file system can.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dataforge.corpus.card import card
from dataforge.corpus.layout import CARD, FOLDERS, MANIFEST, PLAN, shard_name
from dataforge.run.output import LOST, REJECTED, TRAIN, whole
from dataforge.run.shard import Seal
from dataforge.run.storage import Storage
from dataforge.run.store import SHARDS


@dataclass(frozen=True)
class CorpusInfo:
    """What a corpus says of itself besides its rows.

    Attributes:
        plan: the plan document.
        project: the project's name.
        command: what was typed.
        models: name → role, model, weights, backend, and whether it is of smoke grade only.
        counts: planned, kept, rejected, failed, parked, filtered; calls, tokens and cost.
        rejected_by, failed_by: reason code → rows.
        settings: random seed, walks a seed, tokenizer.
        seeds: names of the seed files.
        self_judging: judges that were allowed to grade their own weights, in words.
        versions: of the libraries.
        stopped: why the run ended before its rows did, or None.
        nodes: node → calls, tokens, cost, retries and latencies.
    """

    plan: Mapping[str, Any]
    project: str
    command: str
    models: Mapping[str, Mapping[str, Any]]
    counts: Mapping[str, Any]
    rejected_by: Mapping[str, int]
    failed_by: Mapping[str, int]
    settings: Mapping[str, Any]
    seeds: tuple[str, ...]
    self_judging: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    stopped: str | None = None
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def write_corpus(storage: Storage, seals: Sequence[Seal], info: CorpusInfo) -> dict[str, Any]:
    """Write the corpus of a run; returns the manifest.

    Args:
        storage: the run directory, which holds the shards' files.
        seals: of all shards with rows, in any order.
        info: what the card and the manifest say.

    Raises:
        StorageError, OutputError: where the storage refuses; there is no manifest then.
    """
    storage.remove(MANIFEST)
    ordered = sorted(seals, key=lambda seal: seal.number)
    files: dict[str, str] = {}
    for kind in (TRAIN, REJECTED):
        files |= _publish(storage, kind, ordered)
    rows: Counter[str] = Counter()
    for seal in ordered:
        rows.update(seal.rows)
    manifest: dict[str, Any] = {
        "corpus": 1,
        "plan": info.plan["hash"],
        "graph": info.plan["graph"],
        "project": info.project,
        "command": info.command,
        "settings": dict(info.settings),
        "models": {name: dict(model) for name, model in info.models.items()},
        "counts": {
            **info.counts,
            "rows": {kind: rows[kind] for kind in (TRAIN, "final", "call", REJECTED, LOST)},
            "tokens_in_train": sum(seal.tokens for seal in ordered),
        },
        "rejected_by": dict(info.rejected_by),
        "failed_by": dict(info.failed_by),
        "nodes": {name: dict(node) for name, node in info.nodes.items()},
        "self_judging": list(info.self_judging),
        "seeds": list(info.seeds),
        "stopped": info.stopped,
        "versions": dict(info.versions),
        "files": files,
    }
    storage.put_bytes(PLAN, _document(info.plan))
    storage.put_bytes(CARD, whole(card(manifest, info.plan)).encode())
    storage.put_bytes(MANIFEST, _document(manifest))
    return manifest


def _publish(storage: Storage, kind: str, seals: Sequence[Seal]) -> dict[str, str]:
    """Put the shards' files of one kind under their final names; returns path relative to the corpus → content hash.

    Shards without a row of the kind have no file there, unless there is no row at all: then an empty one says so.
    """
    chosen = [seal for seal in seals if seal.rows[kind]] or list(seals[:1])
    found = {}
    for number, seal in enumerate(chosen):
        name = f"{FOLDERS[kind]}/{shard_name(kind, number, len(chosen))}"
        storage.copy(f"{SHARDS}/{seal.number:05d}/{kind}.parquet", name)
        found[name] = seal.files[f"{kind}.parquet"]
    for old in storage.names(f"{FOLDERS[kind]}/{kind}-"):
        if old not in found:
            storage.remove(old)
    return found


def _document(value: Mapping[str, Any]) -> bytes:
    """A JSON document as UTF-8; names of files that are no text hold half pairs of surrogates."""
    text = json.dumps(whole(dict(value)), ensure_ascii=False, sort_keys=True, indent=2)
    return (text + "\n").encode()
