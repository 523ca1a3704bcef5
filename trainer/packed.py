"""A packed set, opened: rows of tokens, and the order in which training sees them.

Everything is mapped from its file, so that a set may be larger than memory and many processes share one copy. How a set
comes to be is in `data`.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dataforge.errors import InputError
from trainer.samples import IGNORED

FORMAT = 1
MANIFEST, INPUTS, BINS, DROPPED, TOKENIZER = (
    "manifest.json",
    "inputs.json",
    "bins.arrow",
    "dropped.jsonl",
    "tokenizer",
)
PICTURES = ("lengths.png", "report.html")
META = b"dataforge"
"""Where the schema of a part says what the part covers."""


@dataclass(frozen=True, slots=True)
class Row:
    """One packed row as arrays of its own length, without padding.

    Attributes:
        tokens: int32 `[length]`.
        trained: bool `[length]`.
        lengths: int32 `[documents]`: the documents lie one after the other.
        samples: int64 `[documents]`, their numbers.
        kinds: int32 `[documents]`, indices into `PackedSet.kinds`.
    """

    tokens: NDArray[np.int32]
    trained: NDArray[np.bool_]
    lengths: NDArray[np.int32]
    samples: NDArray[np.int64]
    kinds: NDArray[np.int32]

    @property
    def labels(self) -> NDArray[np.int32]:
        """The tokens where they are trained, `IGNORED` elsewhere. Not shifted."""
        return np.where(self.trained, self.tokens, np.int32(IGNORED))

    @property
    def position_ids(self) -> NDArray[np.int32]:
        """From 0 in each document."""
        starts = np.cumsum(self.lengths, dtype=np.int32) - self.lengths
        return np.arange(len(self.tokens), dtype=np.int32) - np.repeat(starts, self.lengths)

    @property
    def document_ids(self) -> NDArray[np.int32]:
        """0 for the first document, 1 for the next."""
        return np.repeat(np.arange(len(self.lengths), dtype=np.int32), self.lengths)


@dataclass(frozen=True, slots=True)
class Part:
    """Some thousand samples, mapped from their file.

    Attributes:
        ids: of the samples.
        kinds: names of kinds, and for each sample the number of its own.
        offsets: int32 `[samples + 1]`: where the tokens of each begin and end.
        meta: which conversations it covers, under which policies, and what became of them.
    """

    ids: pa.StringArray
    kinds: tuple[list[str], NDArray[np.int32]]
    offsets: NDArray[np.int32]
    tokens: NDArray[np.int32]
    trained: pa.BooleanArray
    meta: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> Part:
        """Raises: InputError: it is damaged (T007)."""
        batch = mapped(path)
        try:
            kinds, tokens = batch.column("kind"), batch.column("tokens")
            return cls(
                batch.column("id"),
                (kinds.dictionary.to_pylist(), kinds.indices.to_numpy()),
                tokens.offsets.to_numpy(),
                tokens.values.to_numpy(),
                batch.column("trained").values,
                json.loads(batch.schema.metadata[META]),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise damaged(path, str(error)) from error

    def sample(self, at: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Tokens, and which of them are trained."""
        begin, end = int(self.offsets[at]), int(self.offsets[at + 1])
        return self.tokens[begin:end], self.trained[begin:end].to_numpy(zero_copy_only=False)


class PackedSet:
    """A packed set on disk, memory-mapped.

    Attributes:
        folder: where it is.
        context: capacity of a row.
        kinds: names of the kinds of samples.
        digest: hash of contents and order: two sets with the same digest train the same.
        manifest: the document `manifest.json`.
    """

    folder: Path
    context: int
    kinds: tuple[str, ...]
    digest: str
    manifest: dict[str, Any]

    def __init__(self, folder: Path) -> None:
        """Open it. Sizes of files are checked here, their bytes by `verify`.

        Raises:
            InputError: the folder is no packed set, is unfinished or damaged (T007).
        """
        self.folder = folder
        self.manifest = _whole(folder)
        try:
            self.context = self.manifest["inputs"]["context"]
            self.kinds = tuple(self.manifest["kinds"])
            self.digest = self.manifest["digest"]
            for name, file in self.manifest["files"].items():
                if (size := (folder / name).stat().st_size) != file["bytes"]:
                    raise damaged(folder / name, f"it has {size:,} bytes instead of {file['bytes']:,}")
            self._first = np.concatenate([[0], np.cumsum(self.manifest["parts"], dtype=np.int64)])
            bins = mapped(folder / BINS)
            self._starts = bins.column("samples").offsets.to_numpy()
            self._samples, self._lengths, self._kinds = (
                bins.column(name).values.to_numpy() for name in ("samples", "lengths", "kinds")
            )
        except FileNotFoundError as error:
            raise damaged(Path(error.filename), "it is missing") from error
        except (OSError, KeyError, TypeError, AttributeError) as error:
            raise damaged(folder, f"{type(error).__name__}: {error}") from error
        # Large sets have more parts than a process may have files open.
        self._part = functools.lru_cache(maxsize=64)(lambda number: Part.open(part_path(folder, number)))

    def __len__(self) -> int:
        """Rows."""
        return len(self._starts) - 1

    def row(self, number: int) -> Row:
        """One packed row."""
        if not 0 <= number < len(self):
            raise IndexError(f"row {number} of {len(self)}")
        documents = slice(self._starts[number], self._starts[number + 1])
        samples, lengths = self._samples[documents], self._lengths[documents]
        found = [part.sample(at) for part, at in map(self._place, samples)]
        if [len(tokens) for tokens, _ in found] != lengths.tolist():
            raise damaged(self.folder, f"the samples of row {number} have other lengths than it says")
        tokens, trained = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        return Row(tokens, trained, lengths, samples, self._kinds[documents])

    def sample_id(self, number: int) -> str:
        """The id of a sample: that of its conversation, with `#0`, `#1` … behind it where that was split."""
        part, at = self._place(number)
        return str(part.ids[at])

    @property
    def document_lengths(self) -> NDArray[np.int32]:
        """Lengths of all samples `[samples]`, for FLOPs on paper."""
        lengths: NDArray[np.int32] = np.empty_like(self._lengths)
        lengths[self._samples] = self._lengths
        return lengths

    @property
    def row_lengths(self) -> NDArray[np.int64]:
        """Tokens of each row `[rows]`."""
        return np.add.reduceat(self._lengths, self._starts[:-1], dtype=np.int64)

    def tokenizer(self) -> Any:
        """The tokenizer that the set was made with."""
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(self.folder / TOKENIZER)

    def verify(self) -> None:
        """Read every byte, and compare with the hashes of the manifest.

        Raises:
            InputError: a file is damaged (T007).
        """
        for name, file in self.manifest["files"].items():
            if file_hash(self.folder / name) != file["hash"]:
                raise damaged(self.folder / name, "its hash is not the manifest's")

    def _place(self, number: int) -> tuple[Part, int]:
        at = int(np.searchsorted(self._first, number, side="right")) - 1
        return self._part(at), int(number - self._first[at])


def order(rows: int, step: int, batch: int, seed: int) -> NDArray[np.int64]:
    """The rows of the global batch of one step: epochs follow each other without a gap, each in an order of its own.

    A pure function of its arguments, so that a resumed run sees the same batches on any number of processes.
    """
    wanted = np.arange(step * batch, (step + 1) * batch, dtype=np.int64)
    epochs = wanted // rows
    found = np.empty_like(wanted)
    for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
        here = epochs == epoch
        found[here] = _shuffled(rows, epoch, seed)[wanted[here] % rows]
    return found


@functools.lru_cache(maxsize=2)
def _shuffled(rows: int, epoch: int, seed: int) -> NDArray[np.int64]:
    # NumPy promises that the raw numbers of a bit generator stay the same; of its shuffles it does not.
    drawn = np.random.PCG64(np.random.SeedSequence([seed, epoch])).random_raw(rows)
    return np.argsort(drawn, kind="stable")


def is_packed_set(folder: Path) -> bool:
    """Whether a folder is a packed set, be it unfinished."""
    return (folder / INPUTS).is_file()


def part_path(folder: Path, number: int) -> Path:
    """The file of a part."""
    return folder / "samples" / f"part-{number:05d}.arrow"


def mapped(path: Path) -> pa.RecordBatch:
    """The one record batch of an Arrow file, mapped.

    Raises:
        InputError: it is damaged (T007).
    """
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, str(error)) from error


def stored(path: Path) -> dict[str, Any] | None:
    """A JSON document, or None where there is none.

    Raises:
        InputError: it is damaged (T007).
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise damaged(path, str(error)) from error
    return document if isinstance(document, dict) else {}


def file_hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def text_hash(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()


def damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is damaged: {why}",
        code="T007",
        help="remove the packed set, and make it again from its data",
    )


def _whole(folder: Path) -> dict[str, Any]:
    """The manifest of a set that is whole."""
    manifest = stored(folder / MANIFEST)
    if manifest is None and (folder / INPUTS).is_file():
        raise InputError(
            f"{folder} holds a packed set that is not finished",
            code="T007",
            help="start the command that was making it again: it goes on where it stopped",
        )
    if manifest is None or "packed" not in manifest:
        raise InputError(
            f"{folder} is no packed set",
            code="T007",
            help="name a folder that `dataforge pack` wrote, or make one: dataforge pack CORPUS -o DIR",
        )
    if manifest["packed"] != FORMAT:
        raise InputError(
            f"{folder} has format {manifest['packed']}, and this version reads {FORMAT}",
            code="T007",
            help="make it again from its data",
        )
    return manifest
