"""What survives a crash, and what leaves the trainer.

A checkpoint is a folder `step-000100` that torch's distributed checkpointing wrote under another name and that was
renamed when it was whole. It holds the model, the optimizer, the step, and the digests of configuration and data that it
may go on with. Weights leave as a folder in Hugging Face's form, and as GGUF for llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trainer.config import Config
from trainer.model import PackedLM
from trainer.parallel import World


@dataclass(slots=True)
class State:
    """Everything that a step changes.

    Attributes:
        step: steps done.
        trained_tokens: targets that the loss has seen.
    """

    model: PackedLM
    optimizer: torch.optim.Optimizer
    step: int = 0
    trained_tokens: int = 0


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, folder: Path, world: World, config: Config, data_digest: str) -> None:
        raise NotImplementedError

    def save(self, state: State, *, background: bool) -> None:
        """Write a checkpoint, in the background if wished; at most one is being written at a time.

        Raises:
            StorageError: the disk refused (R021); the checkpoints before it are whole.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Wait for what is being written, and say so if it failed."""
        raise NotImplementedError

    def resume(self, state: State) -> bool:
        """Load the newest whole checkpoint into `state`, on whatever mesh it is. False where there is none.

        Raises:
            InputError: it belongs to another configuration or other data (T011), or is damaged (T012).
        """
        raise NotImplementedError


def export(state: State, tokenizer: Any, folder: Path, world: World, *, gguf: str = "none") -> None:
    """Write the weights as transformers reads them, with tokenizer and template, from any mesh."""
    raise NotImplementedError
