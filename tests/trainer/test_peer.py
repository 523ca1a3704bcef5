"""Beside TRL's SFTTrainer: the same model, conversations and settings give the same curve, and each difference has a test.

What `docs/decisions/016-beside-trl.md` says of TRL is shown here, with the version that is installed.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from schemas.chat import Message
from trainer.batch import collate
from trainer.checkpoint import State
from trainer.config import DataConfig, OptimizerConfig, StepConfig
from trainer.masks import Renderer
from trainer.model import PackedLM, build_optimizer, learning_rate
from trainer.packed import Row
from trainer.parallel import World
from trainer.samples import Conversation, Notes, Sample
from trainer.tiny import tiny_model, tiny_tokenizer
from trainer.train import step

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    trl = pytest.importorskip("trl")
    from datasets import Dataset, disable_progress_bars

pytestmark = pytest.mark.filterwarnings("ignore")

STEPS = 5
CONTEXT = 160
ALONE = World(rank=0, size=1, device=torch.device("cpu"), mesh=None, data_rank=0, data_size=1)
OPTIMIZER = OptimizerConfig(lr=3e-3, warmup_steps=2, weight_decay=0.0, clip=1.0)
TURNS = [
    ["What is a ray of light?", "The least part of light that can be stopped alone."],
    ["Can it be bent?", "Yes.", "By what?", "By glass, by water, and by all that is dense."],
    ["Name a colour.", "Blue"],
    ["And another one", "Red, which is refracted least of all of them."],
    ["Who wrote this?", "Newton, in 1704.", "In what language?", "In English first; the Latin came two years later."],
    ["Why?", "To be read."],
    ["How many books has it?", "Three, and some queries at the end of the last."],
    ["Thanks", "You are welcome."],
    ["Count to nine", "one two three four five six seven eight nine"],
    ["Stop", "."],
]  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """What a training run was: loss and norm of the gradient at each step, and the weights it ended with."""

    losses: list[float]
    norms: list[float]
    weights: dict[str, torch.Tensor]


def conversations() -> list[Conversation]:
    roles = ("user", "assistant")
    return [
        Conversation(
            str(n),
            tuple(
                Message(role=roles[at % 2], content=text, train=at % 2 == 1) for at, text in enumerate(turns)
            ),
        )
        for n, turns in enumerate(TURNS)
    ]


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    renderer, notes = Renderer(tiny_tokenizer(), data=DataConfig(context=CONTEXT)), Notes()
    found = [sample for c in conversations() for sample in renderer.samples(c, notes)]
    assert not notes.dropped
    return found


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Makes an SFTTrainer over the conversations, or over others, with our settings."""
    disable_progress_bars()
    logging.getLogger("trl").setLevel(logging.ERROR)
    folder = tmp_path_factory.mktemp("trl")

    def make(rows: list[dict[str, Any]] | None = None, **changes: Any) -> Any:
        messages = [
            {"messages": [{"role": m.role, "content": m.content} for m in c.messages]}
            for c in conversations()
        ]
        settings = {
            "output_dir": str(folder),
            "max_steps": STEPS,
            "per_device_train_batch_size": 1,
            "assistant_only_loss": True,
            "train_sampling_strategy": "sequential",
            "learning_rate": OPTIMIZER.lr,
            "lr_scheduler_type": "cosine",
            "warmup_steps": OPTIMIZER.warmup_steps,
            "weight_decay": OPTIMIZER.weight_decay,
            "adam_beta2": OPTIMIZER.beta2,
            "max_grad_norm": OPTIMIZER.clip,
            "max_length": CONTEXT,
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "logging_steps": 1,
            "report_to": [],
            "save_strategy": "no",
            "disable_tqdm": True,
        }
        return trl.SFTTrainer(
            model=tiny_model("llama"),
            args=trl.SFTConfig(**settings | changes),
            train_dataset=Dataset.from_list(rows or messages),
            processing_class=tiny_tokenizer(),
        )

    yield make


def theirs(trainer: Any) -> Curve:
    trainer.remove_callback(
        next(c for c in trainer.callback_handler.callbacks if "Print" in type(c).__name__)
    )
    trainer.train()
    logs = [line for line in trainer.state.log_history if "loss" in line]
    weights = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    return Curve([line["loss"] for line in logs], [line["grad_norm"] for line in logs], weights)


def row(samples: Sequence[Sample]) -> Row:
    return Row(
        tokens=np.concatenate([s.tokens for s in samples]),
        trained=np.concatenate([s.trained for s in samples]),
        lengths=np.array([len(s.tokens) for s in samples], np.int32),
        samples=np.arange(len(samples)),
        kinds=np.zeros(len(samples), np.int32),
    )


def ours(batches: Sequence[Sequence[Sequence[Sample]]]) -> Curve:
    """Our step over global batches, each a list of micro-batches, each a list of samples in one row."""
    model = PackedLM(tiny_model("llama"), "documents", StepConfig())
    model.train()
    state = State(model, build_optimizer(model, OPTIMIZER))
    losses, norms = [], []
    for number, micro_batches in enumerate(batches):
        rate = learning_rate(OPTIMIZER, number, len(batches))
        sums, norm = step(state, [collate([row(m)]) for m in micro_batches], rate, OPTIMIZER.clip, ALONE, 1)
        losses.append(float(sums[0] / sums[1]))
        norms.append(norm)
    return Curve(losses, norms, {name: p.detach().clone() for name, p in model.lm.named_parameters()})


def assert_same(one: Curve, other: Curve) -> None:
    assert len(one.losses) == len(other.losses) == STEPS
    assert one.losses == pytest.approx(other.losses, abs=1e-5)
    assert one.norms == pytest.approx(other.norms, rel=1e-4)
    for name, weight in one.weights.items():
        assert torch.allclose(weight, other.weights[name], atol=1e-5), name
    assert one.losses[0] - one.losses[-1] > 0.3, "nothing was learned, so nothing was compared"


def test_the_same_tokens_are_trained(samples: list[Sample], peer: Callable[..., Any]) -> None:
    found = peer().train_dataset
    for sample, other in zip(samples, found, strict=True):
        assert sample.tokens.tolist() == other["input_ids"]
        assert np.where(sample.trained, sample.tokens, -100).tolist() == other["labels"]


def test_one_sample_a_step_gives_the_same_curve(samples: list[Sample], peer: Callable[..., Any]) -> None:
    assert_same(ours([[[sample]] for sample in samples[:STEPS]]), theirs(peer()))


def test_padding_and_accumulation_give_the_same_curve(
    samples: list[Sample], peer: Callable[..., Any]
) -> None:
    """TRL pads two samples and adds up two such batches; ours lays the four end to end. Both divide by trained tokens."""
    padded = theirs(peer(per_device_train_batch_size=2, gradient_accumulation_steps=2, max_steps=2))
    in_one = ours([[samples[0:4]], [samples[4:8]]])
    in_two = ours([[samples[0:2], samples[2:4]], [samples[4:6], samples[6:8]]])
    assert padded.losses == pytest.approx(in_one.losses, abs=1e-4)
    assert padded.losses == pytest.approx(in_two.losses, abs=1e-4)
    assert padded.norms == pytest.approx(in_one.norms, rel=1e-4)
    assert padded.norms == pytest.approx(in_two.norms, rel=1e-4)


def rows_of(trainer: Any, samples: list[Sample]) -> list[list[Sample]]:
    """Our samples in the rows that TRL packed."""
    known = {tuple(sample.tokens.tolist()): sample for sample in samples}
    rows = []
    for packed in trainer.train_dataset:
        bounds = np.cumsum([0, *packed["seq_lengths"]])
        pieces = [tuple(packed["input_ids"][a:b]) for a, b in pairwise(bounds)]
        rows.append([known[piece] for piece in pieces])
    return rows


def test_packed_rows_give_the_same_curve(samples: list[Sample], peer: Callable[..., Any]) -> None:
    """This version of TRL turns the cache off, so that transformers tells documents apart by their positions."""
    trainer = peer(packing=True)
    rows = rows_of(trainer, samples)
    assert any(len(row) > 1 for row in rows)
    order = [rows[number % len(rows)] for number in range(STEPS)]
    assert_same(ours([[row] for row in order]), theirs(trainer))


def test_with_its_cache_the_same_rows_are_contaminated(
    samples: list[Sample], peer: Callable[..., Any]
) -> None:
    """What keeps TRL right is one argument: without it the loss of the same rows is another."""
    trainer = peer(packing=True)
    batch = trainer.data_collator([trainer.train_dataset[0]])
    labels = batch.pop("labels")
    model = trainer.model.train(False)
    with torch.no_grad():
        apart, mixed = (
            model.base_model(
                input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=cache
            )[0]
            for cache in (False, True)
        )
    first = trainer.train_dataset[0]["seq_lengths"][0]
    assert labels.shape[1] > first
    assert torch.allclose(apart[0, :first], mixed[0, :first], atol=1e-5)
    assert (apart[0, first:] - mixed[0, first:]).abs().max() > 0.1


def test_packing_by_wrapping_cuts_and_mixes_documents(
    samples: list[Sample], peer: Callable[..., Any]
) -> None:
    """TRL's other strategy fills rows to the brim: documents lie across their borders, and attention across documents."""
    trainer = peer(packing=True, packing_strategy="wrapped")
    packed = [token for part in trainer.train_dataset for token in part["input_ids"]]
    assert packed == [token for sample in samples for token in sample.tokens.tolist()]
    borders = set(np.cumsum([len(sample.tokens) for sample in samples]).tolist())
    cuts = [CONTEXT * n for n in range(1, len(trainer.train_dataset))]
    assert cuts and not borders.issuperset(cuts)
    batch = trainer.data_collator([trainer.train_dataset[0]])
    assert batch["attention_mask"].all() and batch["input_ids"].shape == (1, CONTEXT)
    assert not {"position_ids", "cu_seq_lens_q"} & set(batch)


def long_rows() -> tuple[list[dict[str, Any]], Conversation]:
    texts = ("Say it again and again", "and again " * 40)
    roles = ("user", "assistant")
    message = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    ours = tuple(
        Message(role=role, content=text, train=role == "assistant")
        for role, text in zip(roles, texts, strict=True)
    )
    return [{"messages": message}], Conversation("long", ours)


def test_a_sample_that_is_too_long_is_cut_there_and_counted_here(peer: Callable[..., Any]) -> None:
    rows, conversation = long_rows()
    packed = peer(rows, packing=True).train_dataset
    assert [len(part["input_ids"]) for part in packed] == [CONTEXT]

    dropped, cut = Notes(), Notes()
    assert not Renderer(tiny_tokenizer(), data=DataConfig(context=CONTEXT)).samples(conversation, dropped)
    assert [(note.id, note.reason) for note in dropped.dropped] == [("long", "overlong")]
    policy = DataConfig(context=CONTEXT, overlong="cut")
    [sample] = Renderer(tiny_tokenizer(), data=policy).samples(conversation, cut)
    assert sample.tokens.tolist() == packed[0]["input_ids"]
    assert cut.counts["cut_tokens"] == sample.cut > 0


def test_weight_decay_spares_the_embedding_here_alone(peer: Callable[..., Any]) -> None:
    """With decay the curves part a little: TRL decays the embedding as it does matrices."""
    trainer = peer(weight_decay=0.1)
    groups = trainer.create_optimizer().param_groups
    embedding = trainer.model.get_input_embeddings().weight
    assert [g["weight_decay"] for g in groups if any(p is embedding for p in g["params"])] == [0.1]
    model = tiny_model("llama")
    spared = build_optimizer(model, OptimizerConfig(weight_decay=0.1)).param_groups
    assert [
        g["weight_decay"]
        for g in spared
        if any(p is model.get_input_embeddings().weight for p in g["params"])
    ] == [0.0]
