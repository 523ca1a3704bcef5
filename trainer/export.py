"""Weights on their way out: a folder in Hugging Face's form, and GGUF for llama.cpp."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate

from dataforge.files import sync
from trainer.chat import without_markers
from trainer.disk import PARTIAL, discard, refused, replace
from trainer.parallel import World
from trainer.pretrained import without_bars

if TYPE_CHECKING:
    from trainer.checkpoint import State


def export(
    state: State, tokenizer: Any, folder: Path, world: World, *, gguf: Literal["none", "f16", "q8_0"] = "none"
) -> None:
    """Write the weights as transformers reads them, with the tokenizer and a template without markers, from any mesh.

    Matrices are gathered one at a time, and the main process keeps them in the memory of its CPU: a GPU never holds more
    than one whole matrix besides its shards. A model that computed in bf16 is written in bf16. A folder of this name is
    replaced when the new one is whole.

    Raises:
        InputError: no GGUF file can be made of this model (T018).
        StorageError: the disk refused (R021); a folder of this name is as it was.
    """
    lm = state.model.lm
    dtype = torch.bfloat16 if state.model.autocast else None
    weights = {}
    for name, parameter in state.model.named_parameters():
        whole = _gather(parameter)
        if world.main:
            weights[name.removeprefix("lm.")] = whole.to("cpu", dtype)
    if not world.main:
        return
    part = folder.with_name(f"{folder.name}{PARTIAL}")
    try:
        discard(part)
        with without_bars():
            _mend_generation(lm, tokenizer)
            lm.save_pretrained(part, state_dict=weights)
        if dtype is not None:
            config = part / "config.json"
            fields = json.loads(config.read_text(encoding="utf-8")) | {"dtype": "bfloat16"}
            config.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
        plain = copy.deepcopy(tokenizer)
        plain.chat_template = without_markers(tokenizer.chat_template)
        plain.save_pretrained(part)
        if gguf != "none":
            from trainer.gguf import write_gguf

            write_gguf(part, part / f"model-{gguf}.gguf", gguf)
        for file in part.iterdir():
            # safetensors leaves its files to their owner alone.
            shutil.copymode(part / "config.json", file)
            sync(file)
        replace(folder, part)
    except (OSError, SafetensorError) as error:
        discard(part)
        raise refused(folder, error) from error


def _gather(parameter: Tensor) -> Tensor:
    """A parameter whole: over shards first, which lie inside the parts that tensor parallelism made."""
    parameter = parameter.detach()
    if not isinstance(parameter, DTensor):
        return parameter
    first = [Replicate()] * (parameter.device_mesh.ndim - 1)
    return parameter.redistribute(placements=[*first, parameter.placements[-1]]).full_tensor()


def _mend_generation(lm: Any, tokenizer: Any) -> None:
    """End answers at the token that ends a turn, which a base model does not know yet.

    Also lets models be written that transformers reads, and refuses to write: with a temperature, and no word of sampling.
    """
    known = lm.generation_config.eos_token_id
    ends = [known] if isinstance(known, int) else list(known or ())
    if (end := tokenizer.eos_token_id) is not None and end not in ends:
        lm.generation_config.eos_token_id = [*ends, end] if ends else end
    try:
        lm.generation_config.validate(strict=True)
    except ValueError:
        lm.generation_config.do_sample = True
