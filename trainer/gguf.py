"""GGUF, the file that llama.cpp runs: read for the embedded model, written for what was trained.

Written are Llama and Qwen3 architectures with byte-level BPE tokenizers whose way of cutting text llama.cpp knows by
name. For the rest there is llama.cpp's own `convert_hf_to_gguf.py`, and the error says so. transformers can read GGUF too;
the embedded model takes it 40 s of CPU, and this a quarter of that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
from numpy.typing import NDArray

from dataforge.errors import InputError
from trainer.chat import without_markers

_SHAPE = {
    "vocab_size": "vocab_size",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "max_position_embeddings": "context_length",
}
_SPECIAL = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Hugging Face's names → llama.cpp's, here and above."""

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CUTS = {
    ("Digits", "ByteLevel"): "smollm",
    (_WORDS % "", "ByteLevel"): "qwen2",
    (_WORDS % "{1,3}", "ByteLevel"): "llama-bpe",
}
"""How a tokenizer cuts text before it merges bytes → llama.cpp's name of that."""


def write_gguf(folder: Path, file: Path, kind: Literal["f16", "q8_0"]) -> None:
    """Write a model in Hugging Face's form as GGUF.

    Args:
        folder: with `config.json`, safetensors and tokenizer, as transformers 5 writes them.
        file: to be written, under another name until it is whole.
        kind: of matrices; vectors stay in fp32. llama.cpp answers from `f16` as transformers does, and computes with
            activations of eight bits too where the matrices have as many.

    Raises:
        InputError: architecture or tokenizer are of a kind that this does not know (T018).
    """
    from transformers import PreTrainedTokenizerFast

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    check_gguf(config, tokenizer)
    stored = gguf.GGMLQuantizationType[kind.upper()]
    part = file.with_name(f"{file.name}.partial")
    writer = gguf.GGUFWriter(part, config["model_type"])
    with ExitStack() as last:
        last.callback(part.unlink, missing_ok=True)
        last.callback(writer.close)
        for ours, theirs in _SHAPE.items():
            writer.add_uint32(f"{config['model_type']}.{theirs}", config[ours])
        for add in (writer.add_key_length, writer.add_value_length, writer.add_rope_dimension_count):
            add(config["head_dim"])
        writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
        writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind.upper()}"])
        _write_tokenizer(writer, tokenizer, config["vocab_size"])
        # Twice over the tensors, since sizes come before data in the file: so only one is in memory at a time.
        for name, tensor in _tensors(folder, config):
            form = _form(tensor, stored)
            block, size = gguf.GGML_QUANT_SIZES[form]
            writer.add_tensor_info(name, tensor.shape, tensor.dtype, tensor.size // block * size, form)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for _, tensor in _tensors(folder, config):
            writer.write_tensor_data(gguf.quantize(tensor, _form(tensor, stored)))
        writer.close()
        part.replace(file)


def read_gguf(file: Path, folder: Path) -> None:
    """Write the model of a GGUF file of SmolLM2's kind into a folder in Hugging Face's form, in fp32.

    Raises:
        InputError: it is of another kind (T018).
    """
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig

    reader = gguf.GGUFReader(file)
    told = {name: field.contents() for name, field in reader.fields.items()}
    kind = [told.get(name) for name in ("general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre")]
    if kind != ["llama", "gpt2", "smollm"]:
        raise _unknown(f"{file} holds architecture and tokenizer {kind}")
    tensors = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    config = LlamaConfig(
        **{ours: told[f"llama.{theirs}"] for ours, theirs in _SHAPE.items()},
        rope_parameters={"rope_type": "default", "rope_theta": told["llama.rope.freq_base"]},
        rms_norm_eps=round(told["llama.attention.layer_norm_rms_epsilon"], 10),
        tie_word_embeddings="output.weight" not in tensors,
        **{
            f"{ours}_token_id": told[f"tokenizer.ggml.{_SPECIAL[ours]}_token_id"]
            for ours in ("bos", "eos", "pad")
        },
        architectures=["LlamaForCausalLM"],
        dtype="float32",
    )
    names = _names(config.num_hidden_layers)
    weights = {
        ours: torch.tensor(_turned(ours, tensors[theirs], config.to_dict(), back=True))
        for ours, theirs in names.items()
        if theirs in tensors
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    _tokenizer(told).save_pretrained(folder)


def check_gguf(config: Mapping[str, Any], tokenizer: Any) -> None:
    """Refuse what `write_gguf` cannot write, before it is trained.

    Args:
        config: of the model, as a dict.
        tokenizer: a fast tokenizer of transformers.

    Raises:
        InputError: architecture or tokenizer are of a kind that this does not know (T018).
    """
    kind, rope = config.get("model_type"), (config.get("rope_parameters") or {}).get("rope_type")
    odd = {
        f"the architecture `{kind}`": kind not in ("llama", "qwen3"),
        f"rotary positions of the type `{rope}`": rope != "default",
        "biases": config.get("attention_bias") or config.get("mlp_bias"),
        "sliding windows": config.get("use_sliding_window"),
    }
    if found := [what for what, there in odd.items() if there]:
        raise _unknown(f"the model has {' and '.join(found)}")
    _cut(json.loads(tokenizer.backend_tokenizer.to_str()))


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Any, size: int) -> None:
    document = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = {at: token for token, at in tokenizer.get_vocab().items()}
    kinds = dict.fromkeys(vocabulary, gguf.TokenType.NORMAL) | {
        entry["id"]: gguf.TokenType.CONTROL if entry["special"] else gguf.TokenType.USER_DEFINED
        for entry in document["added_tokens"]
    }
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_cut(document))
    writer.add_token_list([vocabulary.get(at, f"[unused{at}]") for at in range(size)])
    writer.add_token_types([kinds.get(at, gguf.TokenType.UNUSED) for at in range(size)])
    # llama.cpp wants a list, so a tokenizer that merges nothing gets a pair of bytes that no UTF-8 text has.
    writer.add_token_merges([" ".join(pair) for pair in document["model"]["merges"]] or ["\u00f8 \u00f9"])
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id)
    for ours, theirs in _SPECIAL.items():
        if (number := getattr(tokenizer, f"{ours}_token_id")) is not None:
            writer.add_uint32(f"tokenizer.ggml.{theirs}_token_id", number)
    if tokenizer.chat_template:
        writer.add_chat_template(without_markers(tokenizer.chat_template))


def _cut(document: Mapping[str, Any]) -> str:
    """llama.cpp's name for how a tokenizer cuts text."""
    model, cut = document["model"], document["pre_tokenizer"] or {}
    steps = tuple(
        (step.get("pattern") or {}).get("Regex", "?") if step["type"] == "Split" else step["type"]
        for step in cut.get("pretokenizers", [cut] if cut else [])
    )
    if model["type"] == "BPE" and steps == ("ByteLevel",) and not model["merges"]:
        return "smollm"  # each byte is a token, however the text is cut
    if model["type"] != "BPE" or steps not in _CUTS:
        raise _unknown("the tokenizer is no byte-level BPE of SmolLM2's, Qwen's or Llama 3's kind")
    return _CUTS[steps]


def _tokenizer(told: Mapping[str, Any]) -> Any:
    """The tokenizer that a GGUF file of SmolLM2's kind describes."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = told["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in told["tokenizer.ggml.merges"]]
    backend = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate(tokens)}, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    kinds = zip(tokens, told["tokenizer.ggml.token_type"], strict=True)
    backend.add_special_tokens(
        [AddedToken(token, normalized=False) for token, kind in kinds if kind == gguf.TokenType.CONTROL]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        chat_template=told["tokenizer.chat_template"],
        model_max_length=told["llama.context_length"],
        **{f"{o}_token": tokens[told[f"tokenizer.ggml.{t}_token_id"]] for o, t in _SPECIAL.items()},
    )


def _names(layers: int) -> dict[str, str]:
    """Hugging Face's names of tensors → llama.cpp's."""
    names = {f"{ours}.weight": f"{theirs}.weight" for ours, theirs in _WHOLE.items()}
    for at in range(layers):
        names |= {
            f"model.layers.{at}.{ours}.weight": f"blk.{at}.{theirs}.weight" for ours, theirs in _LAYER.items()
        }
    return names


def _tensors(folder: Path, config: Mapping[str, Any]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The tensors of a folder, one by one, under llama.cpp's names and in its order of rows."""
    from safetensors import safe_open

    names = _names(config["num_hidden_layers"])
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            for name in sorted(opened.keys()):
                if name == "lm_head.weight" and config.get("tie_word_embeddings"):
                    continue
                if name not in names:
                    raise _unknown(f"the model has the tensor {name}")
                yield names[name], _turned(name, opened.get_tensor(name).float().numpy(), config, back=False)


def _turned(
    name: str, tensor: NDArray[np.float32], config: Mapping[str, Any], *, back: bool
) -> NDArray[np.float32]:
    """The rows of Llama's queries and keys in the other side's order.

    llama.cpp rotates neighbouring pairs of a Llama head, transformers its first half with its second; for Qwen3 both do
    the latter.
    """
    heads = {"q_proj.weight": "num_attention_heads", "k_proj.weight": "num_key_value_heads"}
    asked = heads.get(name[-len("q_proj.weight") :])
    if config["model_type"] != "llama" or asked is None:
        return tensor
    half = tensor.shape[0] // config[asked] // 2
    split = (config[asked], half, 2, -1) if back else (config[asked], 2, half, -1)
    return tensor.reshape(split).swapaxes(1, 2).reshape(tensor.shape)


def _form(tensor: NDArray[np.float32], kind: gguf.GGMLQuantizationType) -> gguf.GGMLQuantizationType:
    """How a tensor lies in the file. Vectors stay in fp32; rows that blocks do not fit are in fp16."""
    if tensor.ndim < 2:
        return gguf.GGMLQuantizationType.F32
    fits = tensor.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] == 0
    return kind if fits else gguf.GGMLQuantizationType.F16


def _unknown(what: str) -> InputError:
    return InputError(
        f"no GGUF can be made: {what}",
        code="T018",
        help="train with checkpoint.gguf = 'none'; the folder with the weights can be converted by convert_hf_to_gguf.py "
        "of llama.cpp, which knows more kinds",
    )
