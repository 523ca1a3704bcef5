"""all-MiniLM-L6-v2 in numpy: sentences in, unit vectors out, whose dot product says how near their meanings are.

The model is a BERT of six layers that is small enough to write down here, which spares the embedded judge a second
engine. Weights stay in the mapped safetensors file, so only the rows of the vocabulary that are used are ever read.
Shapes are `[batch, seq, width]`; a batch is padded to its longest sentence and the padding is masked out.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataforge.errors import ModelError
from dataforge.models.weights import WEIGHTS, encoder_folder, engine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

MAX_TOKENS = 256
"""What the model was trained with. Longer texts are cut, so callers hand over sentences, not documents."""
_BATCH = 16
_KEPT = 8192
"""Vectors that are kept, of 1.5 KiB each; all are let go when there are more."""


class Encoder:
    """The loaded model. Threads may share one."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or encoder_folder()
        self._np = engine("numpy")
        try:
            self._tokenizer = engine("tokenizers").Tokenizer.from_file(str(folder / "tokenizer.json"))
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            self._tensors = _map_safetensors(self._np, folder / "model.safetensors")
            self._layers = int(config["num_hidden_layers"])
            self._heads = int(config["num_attention_heads"])
            self._epsilon = float(config["layer_norm_eps"])
        except (OSError, ValueError, KeyError, struct.error) as error:
            raise ModelError(
                f"the embedded judge's weights in {folder} are damaged: {error}", code="R030", help=WEIGHTS
            ) from error
        # For the whole process, and for good. Beside a busy generator, BLAS threads wait for each other by spinning: with
        # two of them on two cores thirty sentences took 1.6 to 8.5 s of CPU, with one 0.5 s.
        engine("threadpoolctl").threadpool_limits(limits=1, user_api="blas")
        self._known: dict[str, Floats] = {}
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def encode(self, texts: Sequence[str]) -> Floats:
        """One unit vector a text, `[len(texts), width]`. A judge meets the same passages often, so they are kept."""
        known = dict(self._known)  # a copy, never changed once it is shared: threads may meet here
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(missing)]
        # Sentences of like length share a batch, or most of the work would go into padding.
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            vectors = self._forward([rows[row] for row in chosen])
            known.update((missing[row], vector) for row, vector in zip(chosen, vectors, strict=True))
        self._known = known if len(known) <= _KEPT else {}
        return self._np.stack([known[text] for text in texts])  # type: ignore[no-any-return]

    def _forward(self, rows: Sequence[Sequence[int]]) -> Floats:
        np, weight = self._np, self._tensors
        longest = max(map(len, rows))
        ids = np.zeros((len(rows), longest), np.int64)
        mask = np.zeros((len(rows), longest), np.float32)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        hidden = weight["embeddings.word_embeddings.weight"][ids]
        hidden = hidden + weight["embeddings.position_embeddings.weight"][:longest]
        hidden = self._normalise(hidden + weight["embeddings.token_type_embeddings.weight"][0], "embeddings")
        hidden_from = (1 - mask[:, None, None, :]) * np.float32(
            -1e9
        )  # [batch, 1, 1, seq], added to the scores
        for layer in range(self._layers):
            hidden = self._layer(hidden, hidden_from, f"encoder.layer.{layer}")
        pooled = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)  # type: ignore[no-any-return]

    def _layer(self, hidden: Floats, hidden_from: Floats, name: str) -> Floats:
        np = self._np
        batch, seq, width = hidden.shape

        def heads(part: str) -> Any:  # [batch, head, seq, width / heads]
            projected = self._linear(hidden, f"{name}.attention.self.{part}")
            return projected.reshape(batch, seq, self._heads, -1).transpose(0, 2, 1, 3)

        scores = (
            heads("query") @ heads("key").transpose(0, 1, 3, 2) / np.float32((width / self._heads) ** 0.5)
        )
        scores += hidden_from
        attention = np.exp(scores - scores.max(axis=-1, keepdims=True))
        attention /= attention.sum(axis=-1, keepdims=True)
        mixed = (attention @ heads("value")).transpose(0, 2, 1, 3).reshape(batch, seq, width)
        hidden = self._normalise(
            hidden + self._linear(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output"
        )
        wide = _gelu(np, self._linear(hidden, f"{name}.intermediate.dense"))
        return self._normalise(hidden + self._linear(wide, f"{name}.output.dense"), f"{name}.output")

    def _linear(self, hidden: Floats, name: str) -> Floats:
        return hidden @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"]

    def _normalise(self, hidden: Floats, name: str) -> Floats:
        np = self._np
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(self._epsilon))
        gain, bias = self._tensors[f"{name}.LayerNorm.weight"], self._tensors[f"{name}.LayerNorm.bias"]
        return centred / scale * gain + bias  # type: ignore[no-any-return]


def _gelu(np: Any, x: Floats) -> Floats:
    """The function x · Φ(x), with erf by formula 7.1.26 of Abramowitz and Stegun: off by at most 1.5e-7, which float32 cannot see."""
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    erf = np.copysign(1 - series * np.exp(-z * z), x)
    return (np.float32(0.5) * x * (1 + erf)).astype(np.float32)  # type: ignore[no-any-return]


def _map_safetensors(np: Any, path: Path) -> dict[str, Floats]:
    """The file's float32 tensors as views of the mapped file: eight bytes of length, a JSON header, then the data."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    data = np.memmap(path, np.uint8, mode="r", offset=8 + length)
    tensors = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            start, end = entry["data_offsets"]
            # A plain array over the mapping, since every operation on a memmap would make another memmap.
            tensors[name] = np.asarray(data[start:end].view(np.float32).reshape(entry["shape"])).view(
                np.ndarray
            )
    return tensors
