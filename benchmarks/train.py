"""Training speed beside TRL's SFTTrainer: the same model, conversations, optimizer and threads, in one process.

    python benchmarks/train.py --quick
    python benchmarks/train.py --model smollm2-135m --repeats 3
    python benchmarks/train.py --device cuda --model smollm2-1.7b --context 16384 --samples 512

Each contender trains one epoch over the same samples from the same random weights; what is counted is trained tokens by
CPU seconds (user and system, all threads) on a CPU, and by wall seconds on a GPU, from the second optimizer step to the
last. Tokenising and packing are left out for all. Contenders take turns, in an order that is reversed every time, and the
last line is one JSON object with the medians of the ratios within each repeat.

    ours           rows packed by our first-fit decreasing, attention inside documents
    trl-padding    batches of 8 samples, padded to the longest of them
    trl-grouped    the same with samples of like length together
    trl-packing    rows packed by TRL's best-fit decreasing, with transformers' `sdpa`, or `:flash_attention_2` and so on
    unmasked       our rows and loss with `sdpa` over the whole row: wrong, and what attention without documents costs

Lengths are those of the Hermes 4 set (see `trainer.plan.hermes_lengths`), scaled to the context.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).parent.parent))
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, TrainerCallback  # noqa: E402

from schemas.chat import Message  # noqa: E402
from trainer import attention  # noqa: E402
from trainer.batch import Batch, collate  # noqa: E402
from trainer.checkpoint import State  # noqa: E402
from trainer.config import DataConfig, OptimizerConfig, StepConfig  # noqa: E402
from trainer.loss import linear_cross_entropy  # noqa: E402
from trainer.masks import Renderer  # noqa: E402
from trainer.model import PackedLM, build_optimizer, learning_rate, prepare_layers  # noqa: E402
from trainer.pack import pack  # noqa: E402
from trainer.packed import Row  # noqa: E402
from trainer.parallel import World  # noqa: E402
from trainer.plan import architecture_of, flops_per_token, hermes_lengths, peak_of  # noqa: E402
from trainer.samples import Conversation, Notes, Sample  # noqa: E402
from trainer.tiny import tiny_tokenizer  # noqa: E402
from trainer.train import step  # noqa: E402

MODELS = {
    # width, inner width, layers, heads of 64, key heads, vocabulary
    "small": (192, 512, 3, 3, 1, 4_096),
    "medium": (384, 1_024, 6, 6, 2, 16_384),
    "smollm2-135m": (576, 1_536, 30, 9, 3, 49_152),
    "smollm2-1.7b": (2_048, 8_192, 24, 32, 32, 49_152),
}
PADDED = 8
"""Samples of a padded batch: the Trainer's own default."""

OPTIMIZER = OptimizerConfig(lr=1e-4, warmup_steps=0, schedule="constant", weight_decay=0.0)


@dataclass(frozen=True)
class Work:
    """What all contenders train on."""

    model: str
    device: torch.device
    context: int
    rows: int
    settings: StepConfig
    conversations: list[Conversation]
    samples: list[Sample]

    def fresh_model(self, kind: str = "sdpa") -> PreTrainedModel:
        width, ffn, layers, heads, kv_heads, vocabulary = MODELS[self.model]
        config = LlamaConfig(
            hidden_size=width,
            intermediate_size=ffn,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            vocab_size=vocabulary,
            max_position_embeddings=self.context,
            tie_word_embeddings=True,
            bos_token_id=256,
            eos_token_id=258,
            pad_token_id=256,
        )
        torch.manual_seed(0)
        model: PreTrainedModel = LlamaForCausalLM(config)
        model = model.to(self.device, torch.bfloat16 if self.device.type == "cuda" else torch.float32)
        if kind != "sdpa":
            model.set_attn_implementation(kind)
        return model

    @property
    def trained(self) -> int:
        return sum(int(sample.trained.sum()) for sample in self.samples)


@dataclass(frozen=True)
class Speed:
    """Of one contender in one repeat: seconds, and the tokens of its rows or batches with and without padding."""

    seconds: float
    trained: float
    tokens: float


class Clock:
    """CPU seconds on a CPU, wall seconds on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()


def make_work(options: argparse.Namespace) -> Work:
    """Conversations of two turns whose lengths follow the law, in an order of their own."""
    rng = random.Random(0)
    # Those over the context are left out, so a few fewer than were asked for.
    scaled = (hermes_lengths(16_384, 40 * options.samples)[::40] * options.context) // 16_384
    lengths = [max(48, int(n)) for n in scaled]
    rng.shuffle(lengths)
    conversations = []
    for number, length in enumerate(lengths):
        letters = "".join(rng.choices("abcdefgh ", k=length))
        question = max(8, length // 5)
        conversations.append(
            Conversation(
                str(number),
                (
                    Message(role="user", content="q" + letters[: question - 2] + "?"),
                    Message(
                        role="assistant", content="a" + letters[question : length - 34] + ".", train=True
                    ),
                ),
            )
        )
    renderer, notes = Renderer(tiny_tokenizer(), data=DataConfig(context=options.context)), Notes()
    samples = [sample for c in conversations for sample in renderer.samples(c, notes)]
    assert len(samples) == len(conversations)
    return Work(
        options.model,
        torch.device(options.device),
        options.context,
        options.rows,
        StepConfig(recompute=options.recompute, compile=options.compile),
        conversations,
        samples,
    )


def row_of(samples: list[Sample]) -> Row:
    return Row(
        tokens=np.concatenate([s.tokens for s in samples]),
        trained=np.concatenate([s.trained for s in samples]),
        lengths=np.array([len(s.tokens) for s in samples], np.int32),
        samples=np.arange(len(samples)),
        kinds=np.zeros(len(samples), np.int32),
    )


class Unmasked(PackedLM):
    """Our rows and loss with causal attention over the whole row."""

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.lm.base_model(input_ids=batch.tokens, use_cache=False).last_hidden_state[0]
        return linear_cross_entropy(
            hidden, self.lm.get_output_embeddings().weight, batch.targets, chunk=self.chunk
        )


def ours(work: Work, kind: str) -> Speed:
    """Our step over our rows. The clock starts after the first step, as it does for TRL."""
    packing = pack(np.array([len(s.tokens) for s in work.samples]), work.context, shuffle=0)
    rows = [row_of([work.samples[int(n)] for n in packing.bin(b)]) for b in range(len(packing))]
    lm, settings = work.fresh_model(), work.settings
    if kind == "unmasked":
        model: PackedLM = Unmasked(lm, "documents", settings)
        attention.uninstall(lm)
        lm.base_model._forward_pre_hooks.clear()
        backend = "sdpa"
    else:
        backend = attention.choose(kind or "auto", work.device)  # type: ignore[arg-type]
        model = PackedLM(lm, backend, settings)
    prepare_layers(model, settings)
    model.train()
    state = State(model, build_optimizer(model, OPTIMIZER))
    world = World(rank=0, size=1, device=work.device, mesh=None, data_rank=0, data_size=1)
    fixed = work.context if backend == "flex" else 0
    clock, began, trained, tokens = Clock(work.device), 0.0, 0.0, 0.0
    steps = [rows[at : at + work.rows] for at in range(0, len(rows), work.rows)]
    for number, share in enumerate(steps):
        batches = [collate([row], fixed=fixed).to(work.device) for row in share]
        rate = learning_rate(OPTIMIZER, number, len(steps))
        sums, _ = step(state, batches, rate, OPTIMIZER.clip, world, 1)
        if number == 0:
            began = clock()
        else:
            trained += float(sums[1])
            tokens += float(sums[2])
    return Speed(clock() - began, trained, tokens)


class Watch(TrainerCallback):  # type: ignore[misc]
    """Starts the clock after the Trainer's first optimizer step and stops it after its last."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.began = self.ended = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 1:
            self.began = self.clock()
        self.ended = self.clock()


def peer(work: Work, kind: str, *, packing: bool, grouped: bool = False) -> Speed:
    """TRL's SFTTrainer over the same conversations, for one epoch."""
    import trl
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    logging.disable(logging.WARNING)
    counted: list[tuple[int, int]] = []

    class Counting(trl.SFTTrainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            counted.append((int((inputs["labels"][:, 1:] != -100).sum()), inputs["labels"].numel()))
            return super().compute_loss(model, inputs, *args, **kwargs)

    watch = Watch(Clock(work.device))
    micro = 1 if packing else PADDED
    # As many samples a step as ours: a row holds four on average.
    accumulate = work.rows if packing else max(1, 4 * work.rows // PADDED)
    with tempfile.TemporaryDirectory() as folder:
        settings = trl.SFTConfig(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=accumulate,
            max_length=work.context,
            train_sampling_strategy="group_by_length" if grouped else "random",
            packing=packing,
            assistant_only_loss=True,
            learning_rate=OPTIMIZER.lr,
            lr_scheduler_type="constant",
            adam_beta2=OPTIMIZER.beta2,
            max_grad_norm=OPTIMIZER.clip,
            use_cpu=work.device.type == "cpu",
            bf16=False,
            gradient_checkpointing=work.settings.recompute,
            torch_compile=work.settings.compile,
            logging_steps=10_000,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
        )
        rows = [
            {"messages": [{"role": m.role, "content": m.content} for m in c.messages]}
            for c in work.conversations
        ]
        trainer = Counting(
            model=work.fresh_model(kind or "sdpa"),
            args=settings,
            train_dataset=Dataset.from_list(rows),
            processing_class=tiny_tokenizer(),
            callbacks=[watch],
        )
        for callback in list(trainer.callback_handler.callbacks):
            if "Print" in type(callback).__name__:
                trainer.remove_callback(callback)
        trainer.train()
    after = counted[accumulate:]
    return Speed(
        watch.ended - watch.began,
        float(sum(trained for trained, _ in after)),
        float(sum(tokens for _, tokens in after)),
    )


CONTENDERS: dict[str, Callable[[Work, str], Speed]] = {
    "ours": ours,
    "trl-padding": lambda work, kind: peer(work, kind, packing=False),
    "trl-grouped": lambda work, kind: peer(work, kind, packing=False, grouped=True),
    "trl-packing": lambda work, kind: peer(work, kind, packing=True),
    "unmasked": lambda work, _: ours(work, "unmasked"),
}


def run(work: Work, name: str) -> Speed:
    contender, _, kind = name.partition(":")
    return CONTENDERS[contender](work, kind)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a smaller model and set: at most a minute")
    parser.add_argument("--model", choices=list(MODELS))
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1, help="on a CPU, for all alike")
    parser.add_argument("--context", type=int)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--rows", type=int, default=2, help="packed rows of an optimizer step")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--recompute", action="store_true", help="activation checkpointing, for all alike")
    parser.add_argument("--compile", action="store_true", help="torch.compile, for all alike")
    parser.add_argument("--contenders", nargs="+", help=", ".join(CONTENDERS) + "; :NAME sets the attention")
    options = parser.parse_args()
    on_cuda = options.device == "cuda"
    options.model = options.model or ("smollm2-1.7b" if on_cuda else "small" if options.quick else "medium")
    options.context = options.context or (16_384 if on_cuda else 1_024)
    options.samples = options.samples or (256 if on_cuda else 26 if options.quick else 64)
    options.repeats = min(options.repeats, 2) if options.quick else options.repeats
    usual = ["ours", "trl-padding", "trl-packing"]
    if on_cuda:
        kinds = ("flash_attention_2", "flex_attention", "sdpa")
        usual = ["ours:flex", "ours:varlen", "unmasked", *(f"trl-packing:{kind}" for kind in kinds)]
    torch.set_num_threads(options.threads)
    work = make_work(options)
    names = options.contenders or usual
    lengths = np.array([len(sample.tokens) for sample in work.samples])
    print(
        f"{options.model}, {len(lengths)} samples of {lengths.mean():.0f} tokens on average, rows of {work.context}, "
        f"{options.device}, {options.threads} threads; trained tokens by {'wall' if on_cuda else 'CPU'} second"
    )
    found: dict[str, list[Speed]] = {name: [] for name in names}
    for repeat in range(options.repeats):
        for name in names if repeat % 2 == 0 else reversed(names):
            try:
                found[name].append(run(work, name))
            except (ImportError, ValueError, RuntimeError) as error:
                print(f"{name}: not run: {str(error).splitlines()[0]}")
                continue
            one = found[name][-1]
            print(
                f"  {name:<28} {one.trained / one.seconds:>9,.1f} trained/s  {one.tokens / one.seconds:>9,.1f} "
                f"with padding  {one.seconds:>7.2f} s",
                flush=True,
            )
    result: dict[str, Any] = {
        "benchmark": "train",
        "device": torch.cuda.get_device_name() if on_cuda else "cpu",
        "model": options.model,
        "context": work.context,
        "samples": len(lengths),
        "threads": options.threads,
        "repeats": options.repeats,
    }
    first = names[0]
    for name in names:
        speeds = [one.trained / one.seconds for one in found[name]]
        if speeds:
            result[f"trained_tokens_per_s {name}"] = round(statistics.median(speeds), 1)
        if name != first and len(speeds) == len(found[first]) > 0:
            ratios = [
                (a.trained / a.seconds) / (b.trained / b.seconds)
                for a, b in zip(found[first], found[name], strict=True)
            ]
            result[f"ratio {first} / {name}"] = round(statistics.median(ratios), 3)
        if on_cuda and speeds and (peak := peak_of(torch.cuda.get_device_name())):
            flops = flops_per_token(architecture_of(work.fresh_model().config), lengths)
            # Tokens of documents, not of padding, by the model's own FLOPs.
            rate = statistics.median(one.trained / one.seconds for one in found[name])
            share = lengths.sum() / work.trained
            result[f"mfu {name}"] = round(rate * share * flops / peak, 4)
    if on_cuda:
        result["peak_flops"] = peak_of(torch.cuda.get_device_name())
    print(json.dumps(result))


if __name__ == "__main__":
    main()
