"""Weights and tokenizers from where they are: a folder, the hub, the embedded package, or made on the spot.

Nothing is loaded half: a tensor that the files lack or that has another shape is an error, never a random weight. The
embedded model is converted once and kept in the user's cache. torch is imported where weights are, so that whoever needs
a tokenizer alone doesn't wait for it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dataforge.errors import InputError, ModelError, ProjectError
from dataforge.files import sync
from dataforge.models.weights import generator_file, identity
from trainer.config import ModelConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

_CONVERSION = 1
"""Part of the cache's key: raised whenever the conversion of the embedded model changes."""


def load_tokenizer(config: ModelConfig) -> Any:
    """The tokenizer of a model.

    Raises:
        InputError: it cannot be found or read (T014).
    """
    name = config.tokenizer or config.path
    if name == "tiny":
        from trainer.tiny import tiny_tokenizer

        return tiny_tokenizer()
    with _reading(f"the tokenizer `{name}`"):
        if name == "embedded":
            from transformers import PreTrainedTokenizerFast

            return PreTrainedTokenizerFast.from_pretrained(embedded_folder())
        from transformers import AutoTokenizer

        # The revision is the model's; a tokenizer from elsewhere has revisions of its own.
        revision = None if config.tokenizer else config.revision or None
        return AutoTokenizer.from_pretrained(resolved(name), revision=revision, trust_remote_code=False)


def load_model(config: ModelConfig, *, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """A causal language model with its weights, on the CPU.

    Args:
        config: which one.
        dtype: of the weights; None is fp32.

    Raises:
        InputError: it cannot be found, read, or is no causal language model (T014).
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    dtype = dtype or torch.float32
    if config.path == "tiny":
        from trainer.tiny import tiny_model

        return tiny_model().to(dtype)  # type: ignore[arg-type, no-any-return]
    what = f"the model `{config.path}`"
    with _reading(what):
        source = embedded_folder() if config.path == "embedded" else resolved(config.path)
        told = AutoConfig.from_pretrained(source, revision=config.revision or None, trust_remote_code=False)
        _check_causal(what, told)
        if config.weights == "random":
            # The same weights on every process and in every start, whatever was drawn before.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model: PreTrainedModel = AutoModelForCausalLM.from_config(told, dtype=dtype)  # type: ignore[no-untyped-call]
                return model
        found: Any = AutoModelForCausalLM.from_pretrained(
            source,
            revision=config.revision or None,
            dtype=dtype,
            trust_remote_code=False,
            output_loading_info=True,
            # Told below, with the tensor's name.
            ignore_mismatched_sizes=True,
        )
    model, loaded = found
    _check_whole(what, loaded)
    return model


def check_match(model: PreTrainedModel, tokenizer: Any) -> None:
    """Refuse a tokenizer whose ids the model has no embedding for, or whose special tokens it calls otherwise.

    A vocabulary larger than the tokenizer is common, and a base model may end its texts with another special token than
    a chat template does. What the model calls the end of a text, though, must be a special token for the tokenizer too:
    an ordinary word there is the mark of another model's tokenizer.

    Raises:
        InputError: they do not belong together (T006).
    """
    rows = cast("Tensor", model.get_input_embeddings().weight).shape[0]
    vocabulary = tokenizer.get_vocab()
    token, highest = max(vocabulary.items(), key=lambda entry: entry[1])
    if highest >= rows:
        raise InputError(
            f"the tokenizer has the token {token!r} with number {highest}, and the model embeds only {rows} tokens",
            code="T006",
            help="take the tokenizer of the model, or a model whose embedding was resized to it",
        )
    special = {at for at, added in tokenizer.added_tokens_decoder.items() if added.special}
    special |= set(tokenizer.all_special_ids)
    for role in ("bos", "eos", "pad"):
        told = getattr(model.config, f"{role}_token_id", None)
        for number in told if isinstance(told, list) else [told]:
            if number is not None and number >= 0 and number not in special:
                called = tokenizer.convert_ids_to_tokens(number) if number <= highest else None
                raise InputError(
                    f"the model's {role} token has number {number}, which is "
                    + (f"the ordinary token {called!r}" if called is not None else "no token")
                    + " for the tokenizer",
                    code="T006",
                    help="they are of different models: take the tokenizer of the model, or leave model.tokenizer empty",
                )


def resolved(name: str) -> str:
    """The folder behind a name, or the name itself for the hub. A folder that `dataforge train` wrote holds `model`."""
    folder = Path(name).expanduser()
    if not (folder / "config.json").is_file() and (folder / "model" / "config.json").is_file():
        folder /= "model"
    return str(folder) if folder.is_dir() else name


def embedded_folder() -> Path:
    """SmolLM2-135M-Instruct in Hugging Face's form: converted from the package's GGUF once, then from the cache."""
    try:
        file = generator_file()
        weights = identity(file)
    except (ModelError, ProjectError) as error:
        raise InputError(error.message, code="T014", help=error.help) from error
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dataforge" / "weights"
    folder = cache / f"{weights}-{_CONVERSION}"
    if not folder.is_dir():
        from trainer.gguf import read_gguf

        cache.mkdir(parents=True, exist_ok=True)
        begun = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=cache))
        try:
            read_gguf(file, begun)
            for file in begun.iterdir():
                sync(file)
            begun.rename(folder)
        except OSError:
            # Another process may have been first.
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(begun, ignore_errors=True)
    return folder


def _check_causal(what: str, told: Any) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    causal = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    named = told.architectures or []
    if named and not causal.intersection(named):
        raise InputError(
            f"{what} is no causal language model: its architecture is {', '.join(named)}",
            code="T014",
            help="take one that writes text, as LlamaForCausalLM or Qwen3ForCausalLM do",
        )


def _check_whole(what: str, loaded: dict[str, Any]) -> None:
    for problem, verb in (("missing_keys", "lack"), ("mismatched_keys", "have in another shape")):
        names = sorted(told if isinstance(told, str) else told[0] for told in loaded[problem])
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise InputError(
                f"the files of {what} {verb} {names[0]}{more}, which its config.json asks for",
                code="T014",
                help="take config.json and weights of the same model; model.weights = 'random' starts from scratch",
            )


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Keep transformers' progress bars and advice off the terminal, and turn its many errors into one."""
    from huggingface_hub.errors import HFValidationError
    from safetensors import SafetensorError
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        with without_bars():
            yield
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        ImportError,
        SafetensorError,
        HFValidationError,
    ) as error:
        lines = str(error).strip().splitlines()
        raise InputError(
            f"{what} cannot be loaded: {lines[0] if lines else type(error).__name__}",
            code="T014",
            help="it must be a folder with config.json, safetensors and tokenizer.json, a name at the hub that can be "
            "reached from here (HF_TOKEN for gated ones), `embedded`, or `tiny`",
        ) from error
    finally:
        logging.set_verbosity(level)


@contextmanager
def without_bars() -> Iterator[None]:
    """Keep transformers' progress bars off the terminal."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
