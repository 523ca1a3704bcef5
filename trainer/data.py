"""The packed set: conversations read, rendered, packed, and kept on disk so that training only has to map it.

    packed/
      manifest.json            what it was made from and how, counts, hashes, efficiency and bounds
      samples/part-00000.arrow a sample a row: id, kind, tokens (int32), trained (bool); Arrow IPC, memory-mapped
      bins.arrow               a packed row a row: the numbers of its samples, in training order
      dropped.jsonl            what was left out, and why
      tokenizer/               the tokenizer, with the template that was used
      lengths.png, report.html

Parts are sealed one by one, so an interrupted preparation goes on where it was. Packing is only an index: another
capacity or seed needs no second tokenisation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config import Config
from trainer.samples import Conversation


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
        raise NotImplementedError

    @property
    def position_ids(self) -> NDArray[np.int32]:
        """From 0 in each document."""
        raise NotImplementedError

    @property
    def document_ids(self) -> NDArray[np.int32]:
        """0 for the first document, 1 for the next."""
        raise NotImplementedError


class PackedSet:
    """A packed set on disk, memory-mapped.

    Attributes:
        context: capacity of a row.
        kinds: names of the kinds of samples.
        digest: hash of contents and order: two sets with the same digest train the same.
        manifest: the document `manifest.json`.
    """

    context: int
    kinds: tuple[str, ...]
    digest: str
    manifest: dict[str, Any]

    def __init__(self, folder: Path) -> None:
        """Open it.

        Raises:
            InputError: the folder is no packed set, is unfinished or damaged (T007).
        """
        raise NotImplementedError

    def __len__(self) -> int:
        """Rows."""
        raise NotImplementedError

    def row(self, number: int) -> Row:
        """One packed row."""
        raise NotImplementedError

    @property
    def document_lengths(self) -> NDArray[np.int32]:
        """Lengths of all samples `[samples]`, for FLOPs on paper."""
        raise NotImplementedError

    def tokenizer(self) -> Any:
        """The tokenizer that the set was made with."""
        raise NotImplementedError


def read_conversations(paths: Sequence[str], kinds: Sequence[str]) -> Iterator[Conversation]:
    """Rows of corpora and chat files, in order, a few at a time.

    Raises:
        InputError: nothing is there, or a row is no conversation (T002), with file and row.
    """
    raise NotImplementedError


def prepare(config: Config, out: Path, *, progress: Callable[[int, int], None] | None = None) -> PackedSet:
    """Make the packed set of a configuration in `out`, or open it where it is there already.

    Args:
        config: `model` names tokenizer and template, `data` everything else.
        out: folder of the packed set.
        progress: told conversations done, and how many there are (0 where that is not known).

    Raises:
        InputError: see `read_conversations` and `masks.Renderer`; or `out` holds another set (T007).
    """
    raise NotImplementedError


def order(rows: int, step: int, batch: int, seed: int) -> NDArray[np.int64]:
    """The rows of the global batch of one step: epochs follow each other without a gap, each in an order of its own.

    A pure function of its arguments, so that a resumed run sees the same batches on any number of processes.
    """
    raise NotImplementedError
