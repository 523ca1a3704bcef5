"""Attention that stays inside documents, behind one interface.

    documents   a loop over documents of causal scaled dot products: any device; on CPUs the cheapest there is
    flex        FlexAttention with a block mask that is built once a batch (CUDA)
    varlen      torch.nn.attention.varlen (CUDA)

transformers tells packed rows apart by their position ids only where no cache and no mask is in its way, and mixes
documents without a word elsewhere. So ours is registered under names of its own, takes the documents explicitly, and
refuses whatever would not be honoured: before a model's forward (`_guard`), where transformers makes a mask (`_mask`),
and where a layer attends (`_attention`).
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel

from dataforge.errors import InputError
from trainer.batch import Batch, Documents

Backend = Literal["documents", "flex", "varlen"]

BLOCK = 128
"""Positions along a side of a block of FlexAttention's mask."""

ATTENDING = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
"""Kinds of layers, as `layer_types` of a configuration has them, that look at other tokens by attention alone."""

FOREIGN_TERMS = frozenset(
    {"softcap", "s_aux", "sinks", "position_bias", "indices", "block_indices", "head_mask"}
)
"""What some models hand to their attention, and none of the backends computes."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch's documents in the form that a backend takes: the argument `packed` of an installed model.

    Attributes:
        backend: for which it was made.
        documents: with the padding as the last of them.
        padding: its length.
        longest: document, apart from padding.
        blocks: FlexAttention's mask.
    """

    backend: Backend
    documents: Documents
    padding: int
    longest: int
    blocks: BlockMask | None


def choose(asked: Literal["auto", "documents", "flex", "varlen"], device: torch.device) -> Backend:
    """The backend to use.

    Raises:
        InputError: the one that was asked for cannot train on this device (T013).
    """
    if asked == "auto":
        return "flex" if device.type == "cuda" else "documents"
    if asked != "documents" and device.type != "cuda":
        raise InputError(
            f"attention `{asked}` cannot train on {device.type}: PyTorch has its backward pass for CUDA only",
            code="T013",
            help="set train.attention to `documents`, or to `auto`",
        )
    return asked


def install(model: PreTrainedModel, backend: Backend) -> None:
    """Make the model attend by documents, and make every call that would mix them raise (T009).

    The model gets a copy of its configuration: other models that were made from the same object stay as they are.

    Raises:
        InputError: layers of this model look at other tokens in a way that knows no documents (T013).
    """
    _check(model)
    copies: dict[int, Any] = {}
    for module in model.modules():
        if isinstance(config := getattr(module, "config", None), PreTrainedConfig):
            module.config = copy.deepcopy(config, copies)  # type: ignore[assignment]
    model.set_attn_implementation(_name(backend))
    decoder = model.base_model
    if _guard not in decoder._forward_pre_hooks.values():
        decoder.register_forward_pre_hook(_guard, with_kwargs=True)


def uninstall(model: PreTrainedModel) -> None:
    """Give the model transformers' own attention back, to generate with it."""
    model.set_attn_implementation(model.get_correct_attn_implementation(None))


def arguments(batch: Batch, backend: Backend) -> dict[str, Any]:
    """The keyword arguments with which an installed model must be called for a batch, besides `input_ids`.

    Positions, `use_cache=False`, and the documents in the form that the backend takes.
    """
    lengths = batch.documents.lengths[:-1] if batch.padding else batch.documents.lengths
    blocks = block_mask(batch.positions[0], batch.padding) if backend == "flex" else None
    packed = Packed(backend, batch.documents, batch.padding, max(lengths, default=0), blocks)
    return {"position_ids": batch.positions, "use_cache": False, "packed": packed}


def block_mask(positions: Tensor, padding: int = 0) -> BlockMask:
    """FlexAttention's mask: a token sees its document up to itself; padding neither sees nor is seen.

    The lists of blocks follow from where documents start, so no mask of all pairs ever stands in memory: 16,384 tokens
    have 128 × 128 blocks. Shapes depend on the number of tokens alone, and nothing waits for the device.

    Args:
        positions: `[total]`, from 0 in each document.
        padding: tokens at the end that belong to nobody.
    """
    total = len(positions)
    at = torch.arange(total, device=positions.device)
    start = at - positions
    start[total - padding :] = total + BLOCK

    def visible(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (start[query] <= key) & (key <= query)

    first = at[::BLOCK]
    begin, end = start[first], start[(first + BLOCK - 1).clamp(max=total - 1)]
    # The document of a block's first row reaches back without a gap, so every block from its start to the diagonal has a
    # pair to compute. One before the diagonal is whole where all rows, none missing, are of one document that covers it.
    some = (first[None] + BLOCK > begin[:, None]) & (first[None] <= first[:, None])
    whole = (first[None] >= begin[:, None]) & (first[None] < first[:, None])
    whole &= ((begin == end) & (first + BLOCK <= total))[:, None]
    lists = (*_listed(some & ~whole), *_listed(whole))
    return BlockMask.from_kv_blocks(*lists, BLOCK_SIZE=BLOCK, mask_mod=visible, seq_lengths=(total, total))


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks a row has, `[1, 1, n]`, and their numbers before all others, `[1, 1, n, n]`."""
    order = blocks.int().argsort(dim=-1, descending=True, stable=True)
    return blocks.sum(-1, dtype=torch.int32)[None, None], order.int()[None, None]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _documents(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packed: Packed,
    scale: float,
    dropout: float,
    window: int | None,
) -> Tensor:
    """A loop over documents. Padding costs nothing and gives zeros."""
    lengths = list(packed.documents.lengths)
    grouped = query.shape[1] != key.shape[1]
    # Cut once and joined once: a slice for each document would have a gradient as long as the whole row.
    parts = zip(*(torch.split(each, lengths, 2) for each in (query, key, value)), strict=True)
    outs = []
    for q, k, v in list(parts)[: len(lengths) - bool(packed.padding)]:
        mask = _band(q, window) if window is not None and q.shape[2] > window else None
        out = scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=mask is None,
            scale=scale,
            enable_gqa=grouped,
        )
        outs.append(out.transpose(1, 2))
    outs.append(value.new_zeros(1, packed.padding, query.shape[1], value.shape[3]))
    return torch.cat(outs, 1)


def _band(query: Tensor, window: int) -> Tensor:
    """What tokens of a document see through a sliding window: themselves, and the `window - 1` before them."""
    at = torch.arange(query.shape[2], device=query.device)
    distance = at[:, None] - at
    return (distance >= 0) & (distance < window)


_compiled = functools.cache(lambda: torch.compile(flex_attention, dynamic=False))


def _flex(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packed: Packed,
    scale: float,
    dropout: float,
    window: int | None,
) -> Tensor:
    """FlexAttention, compiled by itself where the layer isn't; on CPUs, for tests, forward only and not compiled."""
    if dropout or window is not None:
        raise _unable("dropout" if dropout else f"a window of {window} tokens over longer documents", "flex")
    plain = torch.compiler.is_compiling() or query.device.type == "cpu"
    attend: Callable[..., Tensor] = flex_attention if plain else _compiled()
    grouped = query.shape[1] != key.shape[1]
    return attend(query, key, value, block_mask=packed.blocks, scale=scale, enable_gqa=grouped).transpose(
        1, 2
    )


def _varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packed: Packed,
    scale: float,
    dropout: float,
    window: int | None,
) -> Tensor:
    """Flash attention. Padding is a document like others: the kernel doesn't fill what no document covers."""
    if dropout or query.dtype not in (torch.bfloat16, torch.float16):
        raise _unable("dropout" if dropout else f"in {query.dtype}", "varlen")
    q, k, v = (each[0].transpose(0, 1) for each in (query, key, value))
    at, longest = packed.documents.bounds, packed.documents.longest
    view = (-1 if window is None else window - 1, 0)
    grouped = query.shape[1] != key.shape[1]
    out = varlen_attn(q, k, v, at, at, longest, longest, scale=scale, window_size=view, enable_gqa=grouped)
    return cast("Tensor", out)[None]


BACKENDS: Mapping[Backend, Callable[..., Tensor]] = {
    "documents": _documents,
    "flex": _flex,
    "varlen": _varlen,
}
"""`[1, heads, total, width]` of query, key and value in, `[1, total, heads, width]` out."""


def _name(backend: Backend) -> str:
    return f"dataforge_{backend}"


def _attention(
    backend: Backend,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: int | Tensor | None,
    *,
    packed: Packed | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """What a layer calls. `attention_mask` is from `_mask`: over how many tokens the layer may look, or None."""
    if packed is None or isinstance(attention_mask, Tensor):
        raise _mixing("a layer was called without documents, or with a mask of its own")
    if is_causal is False or not getattr(module, "is_causal", True):
        raise _unable("views of later tokens", backend)
    if unknown := sorted(name for name in FOREIGN_TERMS if others.get(name) is not None):
        raise _unable(f"`{unknown[0]}` of {type(module).__name__}", backend)
    window = sliding_window if sliding_window is not None and packed.longest > sliding_window else None
    if attention_mask not in (None, sliding_window) and packed.longest > attention_mask:
        # In chunks, or in a window of which only the mask knows.
        raise _unable(f"layers that see parts of {attention_mask} tokens of longer documents", backend)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return BACKENDS[backend](query, key, value, packed, scale, dropout, window), None


def _mask(
    *, attention_mask: Tensor | None = None, local_size: int | None = None, use_vmap: bool = False, **_: Any
) -> int | None:
    """In the place of a mask, which documents make needless, only how far a layer sees."""
    if attention_mask is not None:
        raise _mixing("the model was called with an attention mask, which knows of no documents")
    if use_vmap:
        raise _unable("terms that a model adds to the causal mask", "documents")
    return local_size


for _backend in BACKENDS:
    AttentionInterface.register(_name(_backend), functools.partial(_attention, _backend))
    AttentionMaskInterface.register(_name(_backend), _mask)


def _guard(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse a forward that would mix documents. Silent once transformers' own attention is back."""
    in_force = getattr(module.config, "_attn_implementation", None)
    for backend in BACKENDS:
        if in_force == _name(backend):
            given = dict(zip(inspect.signature(module.forward).parameters, args, strict=False)) | kwargs
            if fault := _fault(given, backend):
                raise _mixing(f"the model was called {fault}")


def _fault(given: Mapping[str, Any], backend: Backend) -> str | None:
    """How a call would mix documents."""
    packed = given.get("packed")
    tokens = given.get("inputs_embeds") if given.get("input_ids") is None else given["input_ids"]
    if not isinstance(packed, Packed) or packed.backend != backend:
        return f"without its documents in the form of backend `{backend}`"
    if given.get("past_key_values") is not None or given.get("use_cache") is not False:
        return "with a cache, to which a row is one text"
    if given.get("attention_mask") is not None:
        return "with an attention mask, which knows of no documents"
    if given.get("position_ids") is None:
        return "without positions, which would run on from one document to the next"
    total = sum(packed.documents.lengths)
    if tokens is None or tuple(tokens.shape[:2]) != (1, total):
        shape = [] if tokens is None else list(tokens.shape[:2])
        return f"with tokens {shape} and documents that lie in [1, {total}]"
    return None


def _check(model: PreTrainedModel) -> None:
    """Refuse a model whose tokens meet otherwise than in attention that can be exchanged (T013)."""
    config, decoder = model.config.get_text_config(), model.base_model
    foreign = set(getattr(config, "layer_types", None) or ()) - ATTENDING
    parameters = inspect.signature(decoder.forward).parameters.values()
    if getattr(model, "_is_stateful", False) or any(isinstance(m, nn.Conv1d) for m in model.modules()):
        reason = "carries a state or a convolution from token to token"
    elif foreign:
        reason = f"has layers of kind {', '.join(sorted(foreign))}"
    elif not getattr(config, "is_causal", True):
        reason = "is not causal"
    elif not (model._can_set_attn_implementation() and any(p.kind is p.VAR_KEYWORD for p in parameters)):
        reason = "does not let its attention be exchanged"
    else:
        return
    raise InputError(
        f"{type(model).__name__} {reason}: its documents cannot be kept apart",
        code="T013",
        help=ARCHITECTURES,
    )


ARCHITECTURES = (
    "take a decoder that attends by transformers' AttentionInterface alone, such as Llama or Qwen3"
)


def _mixing(what: str) -> InputError:
    return InputError(
        f"{what}: tokens of one document would attend to another's",
        code="T009",
        help="call the model with trainer.attention.arguments(batch, backend), or uninstall(model) to generate",
    )


def _unable(what: str, backend: Backend) -> InputError:
    return InputError(f"attention `{backend}` does not compute {what}", code="T013", help=ARCHITECTURES)
