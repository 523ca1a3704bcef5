"""What survives: every kill, every full disk, damage, another mesh. And what doesn't: another configuration."""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_parallel import ALONE, apart
from transformers import AutoModelForCausalLM, AutoTokenizer
from two_processes import (
    CASES,
    DATA,
    Case,
    goes_on,
    new_state,
    one_more,
    outcome,
    resumed,
    take_step,
    train,
    weights,
)

from dataforge.errors import InputError, StorageError
from trainer.checkpoint import Checkpoints
from trainer.config import CheckpointConfig, Config, MeshConfig
from trainer.export import export
from trainer.tiny import tiny_tokenizer

CASE = CASES["shards"]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any], Path]:
    return outcome(tmp_path_factory)


@pytest.fixture(scope="module")
def third_step() -> dict[str, torch.Tensor]:
    """The weights after three steps of one process that was never stopped."""
    return train(ALONE, CASE).weights


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of steps 1, 2 and 3."""
    folder = tmp_path_factory.mktemp("run")
    checkpoints = opened(folder, keep=3)
    state = new_state(ALONE, CASE)
    for _ in range(3):
        take_step(state, ALONE)
        checkpoints.save(state, background=True)
    checkpoints.finish()
    return folder


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copied"))


def opened(folder: Path, keep: int = 2, config: Config | None = None, data: str = DATA) -> Checkpoints:
    config = config or Config(checkpoint=CheckpointConfig(keep=keep))
    return Checkpoints(folder, ALONE, config, data)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


# Going on


def test_going_on_gives_the_bits_of_never_having_stopped(tmp_path: Path) -> None:
    assert goes_on(ALONE, CASE, tmp_path)


def test_two_processes_go_on_with_the_same_bits(two: Any) -> None:
    assert [found["resumed"] for found in two[:2]] == [True, True]


@pytest.mark.parametrize("way", ["one to shards", "shards to tensor"])
def test_another_mesh_goes_on_within_float_error(two: Any, way: str, third_step: Any) -> None:
    assert apart(third_step, two[0][way]) < 1e-5


def test_one_process_goes_on_where_two_were(two: Any, third_step: Any) -> None:
    assert apart(third_step, one_more(ALONE, CASE, two[2] / "shards")) < 1e-5


def test_step_and_tokens_and_random_numbers_come_back(tmp_path: Path) -> None:
    state = new_state(ALONE, CASE)
    take_step(state, ALONE)
    torch.rand(5)
    opened(tmp_path).save(state, background=False)
    next_numbers = torch.rand(5)
    again = resumed(ALONE, CASE, tmp_path)
    assert (again.step, again.trained_tokens) == (1, state.trained_tokens)
    assert torch.equal(torch.rand(5), next_numbers)


def test_a_checkpoint_before_the_first_step_changes_nothing(tmp_path: Path, third_step: Any) -> None:
    opened(tmp_path).save(new_state(ALONE, CASE), background=False)
    state = resumed(ALONE, CASE, tmp_path)
    for _ in range(3):
        take_step(state, ALONE)
    assert all(torch.equal(tensor, third_step[name]) for name, tensor in weights(state).items())


def test_a_new_run_has_nothing_to_resume(tmp_path: Path) -> None:
    assert not opened(tmp_path / "new").resume(new_state(ALONE, CASE))


def test_what_is_trained_meanwhile_does_not_reach_the_checkpoint(tmp_path: Path) -> None:
    state, checkpoints = new_state(ALONE, CASE), opened(tmp_path)
    take_step(state, ALONE)
    before = weights(state)
    checkpoints.save(state, background=True)
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.zero_()
    checkpoints.finish()
    assert all(torch.equal(t, before[n]) for n, t in weights(resumed(ALONE, CASE, tmp_path)).items())


def test_the_newest_stay(copied: Path) -> None:
    state, checkpoints = new_state(ALONE, CASE), opened(copied, keep=2)
    assert checkpoints.resume(state)
    take_step(state, ALONE)
    checkpoints.save(state, background=False)
    checkpoints.save(state, background=True)
    checkpoints.finish()
    assert names(copied) == ["step-000003", "step-000004"]


# Crashes and disks


def test_a_kill_at_any_moment_costs_at_most_the_checkpoint_under_way(two: Any) -> None:
    *kills, through = json.loads((two[2] / "crashes" / "kills.json").read_bytes())
    assert len(kills) > 20
    for kill in kills:
        assert kill["killed"] and kill["same"] and kill["whole"], kill
        assert kill["resumed"] in (kill["acknowledged"], kill["acknowledged"] + 1), kill
        assert not [name for name in kill["left"] if name.endswith(".partial")], kill
    assert (through["killed"], through["resumed"], through["left"]) == (False, 2, ["step-000002"])


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_nothing_but_the_checkpoint(copied: Path) -> None:
    state, checkpoints = new_state(ALONE, CASE), opened(copied, keep=3)
    checkpoints.resume(state)
    take_step(state, ALONE)
    with (
        pytest.raises(StorageError, match="step-000004 cannot be written: File too large") as refused,
        room(2**16),
    ):
        checkpoints.save(state, background=False)
    assert refused.value.code == "R021"
    assert names(copied) == ["step-000001", "step-000002", "step-000003"]
    checkpoints.save(state, background=False)
    assert resumed(ALONE, CASE, copied).step == 4


def test_a_disk_without_room_is_said_and_room_lets_it_go_on(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2000k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system, and not everywhere")
    try:
        state, checkpoints = new_state(ALONE, CASE), opened(disk)
        take_step(state, ALONE)
        checkpoints.save(state, background=True)
        take_step(state, ALONE)
        checkpoints.save(state, background=True)
        with pytest.raises(StorageError, match="No space left on device"):
            checkpoints.finish()
        assert resumed(ALONE, CASE, disk).step == 1
        with pytest.raises(StorageError, match="No space left on device"):
            export(state, tiny_tokenizer(), disk / "model", ALONE)
        assert names(disk) == ["step-000001"]
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        checkpoints.save(state, background=True)
        checkpoints.finish()
        assert resumed(ALONE, CASE, disk).step == 2
    finally:
        subprocess.run(["umount", str(disk)], capture_output=True, check=False)


def test_a_full_disk_of_one_process_is_an_error_of_all(two: Any) -> None:
    for found in two[:2]:
        (code, message), left, resumed_at = found["full disk"]
        assert (code, left, resumed_at) == ("R021", [], 1)
        assert "File too large" in message


# Damage


def shorten(folder: Path) -> None:
    os.truncate(folder / "__0_0.distcp", 1000)


def lose(folder: Path) -> None:
    (folder / "__0_0.distcp").unlink()


def lose_the_step(folder: Path) -> None:
    told = json.loads((folder / "checkpoint.json").read_bytes())
    del told["step"]
    (folder / "checkpoint.json").write_text(json.dumps(told))


def flip(folder: Path) -> None:
    """A pickle is still a pickle with another number in it."""
    index = bytearray((folder / ".metadata").read_bytes())
    index[len(index) // 2] ^= 1
    (folder / ".metadata").write_bytes(index)


def lose_the_manifest(folder: Path) -> None:
    (folder / "checkpoint.json").unlink()


def garble_the_manifest(folder: Path) -> None:
    (folder / "checkpoint.json").write_text('{"format": 1')


def empty_the_manifest(folder: Path) -> None:
    (folder / "checkpoint.json").write_text("null")


def zero(folder: Path) -> None:
    (folder / "__0_0.distcp").write_bytes(bytes((folder / "__0_0.distcp").stat().st_size))


DAMAGES = [
    pytest.param(shorten, "__0_0.distcp has 1000 bytes of", id="short"),
    pytest.param(lose, "__0_0.distcp is missing", id="missing"),
    pytest.param(lose_the_manifest, "checkpoint.json is missing", id="no manifest"),
    pytest.param(garble_the_manifest, "Expecting", id="half a manifest"),
    pytest.param(empty_the_manifest, "subscriptable", id="empty manifest"),
    pytest.param(zero, "", id="zeros"),
    pytest.param(lose_the_step, "checkpoint.json is not what was written", id="no step"),
    pytest.param(flip, ".metadata is not what was written", id="a bit of the index"),
]


@pytest.mark.parametrize(("damage", "says"), DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_aloud(
    copied: Path, damage: Callable[[Path], None], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    damage(copied / "step-000003")
    with caplog.at_level(logging.WARNING, "trainer.checkpoint"):
        state = resumed(ALONE, CASE, copied)
    assert state.step == 2
    said = [record.getMessage() for record in caplog.records if record.name == "trainer.checkpoint"]
    assert [says in message and "step-000003" in message for message in said] == [True]


def test_what_comes_after_a_damaged_checkpoint_takes_its_place(copied: Path, third_step: Any) -> None:
    """And no damaged one counts as one of those that are kept."""
    shorten(copied / "step-000002")
    shorten(copied / "step-000003")
    state, checkpoints = new_state(ALONE, CASE), opened(copied, keep=1)
    checkpoints.resume(state)
    for left in (["step-000002", "step-000003"], ["step-000003"]):
        take_step(state, ALONE)
        checkpoints.save(state, background=False)
        assert names(copied) == left
    again = resumed(ALONE, CASE, copied)
    assert again.step == 3
    assert all(torch.equal(tensor, third_step[name]) for name, tensor in weights(again).items())


def test_where_all_are_damaged_nothing_is_made_up(copied: Path) -> None:
    for folder in copied.iterdir():
        shorten(folder)
    with pytest.raises(
        InputError, match=r"no checkpoint in it is whole: step-000001: __0_0.distcp has 1000 bytes"
    ) as e:
        opened(copied).resume(new_state(ALONE, CASE))
    assert e.value.code == "T012"


# Another run's


@pytest.mark.parametrize(
    ("section", "changes", "says"),
    [
        ("optimizer", {"lr": 1e-3}, "optimizer.lr is 2e-05 there and 0.001 here"),
        (
            "train",
            {"rows": 4, "steps": 7},
            "train.rows is 8 there and 4 here; train.steps is 0 there and 7 here",
        ),
        ("data", {"seed": 1}, "data.seed is 0 there and 1 here"),
    ],
)
def test_another_configuration_is_refused_by_its_keys(
    run: Path, section: str, changes: Any, says: str
) -> None:
    config = Config()
    config = replace(config, **{section: replace(getattr(config, section), **changes)})
    with pytest.raises(InputError) as refused:
        opened(run, config=config).resume(new_state(ALONE, CASE))
    assert refused.value.code == "T011"
    assert says in refused.value.message


def test_what_changes_no_weights_may_differ(run: Path) -> None:
    config = Config()
    config = replace(
        config,
        train=replace(config.train, micro_rows=4, recompute=True, threads=1),
        mesh=MeshConfig(replicas=4, tensor=2),
        checkpoint=CheckpointConfig(every=7, keep=9),
        log=replace(config.log, project="another"),
    )
    assert opened(run, config=config).resume(new_state(ALONE, CASE))


def test_other_data_are_refused(run: Path, two: Any) -> None:
    with pytest.raises(InputError, match="of the packed set 0123456789abcdef, and this is other") as refused:
        opened(run, data="other").resume(new_state(ALONE, CASE))
    assert refused.value.code == "T011"
    assert [found["other data"][0] for found in two[:2]] == ["T011", "T011"]


def test_another_model_is_refused_by_its_first_difference(run: Path) -> None:
    other = new_state(ALONE, Case(MeshConfig(), changes={"num_hidden_layers": 1}))
    with pytest.raises(
        InputError, match=r"lm.model.layers.1.input_layernorm.weight is \[64\] there and None"
    ) as e:
        opened(run).resume(other)
    assert e.value.code == "T011"


# What leaves


@pytest.mark.parametrize("mesh", ["shards", "tensor"])
def test_an_export_has_the_same_bytes_from_any_mesh(two: Any, mesh: str) -> None:
    one, other = two[2] / "export-one", two[2] / f"export-{mesh}"
    assert names(one) == names(other)
    assert all((other / name).read_bytes() == (one / name).read_bytes() for name in names(one))


@pytest.mark.parametrize("tied", [True, False])
def test_transformers_loads_an_export(tmp_path: Path, tied: bool) -> None:
    state = new_state(ALONE, Case(MeshConfig(), changes={"tie_word_embeddings": tied}))
    take_step(state, ALONE)
    # Models have such settings, and transformers reads them, but does not write them as they are.
    state.model.lm.generation_config.temperature = 0.6
    # A base model ends at another token than its turns do.
    state.model.lm.generation_config.eos_token_id = 256
    export(state, tiny_tokenizer(), tmp_path / "model", ALONE)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    kept = {name.removeprefix("lm."): tensor for name, tensor in weights(state).items()}
    assert all(torch.equal(p, kept[name]) for name, p in loaded.named_parameters())
    assert loaded.num_parameters() == state.model.lm.num_parameters()
    assert loaded.config._attn_implementation == "sdpa"
    assert (loaded.generation_config.temperature, loaded.generation_config.do_sample) == (0.6, True)
    assert loaded.generation_config.eos_token_id == [256, 258]
    assert len({file.stat().st_mode for file in (tmp_path / "model").iterdir()}) == 1
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    # Engines that know nothing of training know nothing of its markers.
    assert "endgeneration" in tiny_tokenizer().chat_template
    assert "generation %" not in tokenizer.chat_template
    said = [{"role": "user", "content": "hello"}]
    ids = tokenizer.apply_chat_template(said, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    assert loaded.generate(ids, max_new_tokens=3, do_sample=False).shape[1] <= ids.shape[1] + 3


def test_a_model_that_computed_in_bf16_is_written_in_bf16(tmp_path: Path) -> None:
    state = new_state(ALONE, CASES["shards, autocast"])
    export(state, tiny_tokenizer(), tmp_path / "model", ALONE)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    kept = {name.removeprefix("lm."): tensor.bfloat16() for name, tensor in weights(state).items()}
    assert all(torch.equal(p, kept[name]) for name, p in loaded.named_parameters())


def test_an_export_replaces_the_one_before_when_it_is_whole(tmp_path: Path) -> None:
    state, folder = new_state(ALONE, CASE), tmp_path / "model"
    folder.mkdir()
    (folder / "model-f16.gguf").write_text("of other weights")
    with pytest.raises(StorageError, match="model cannot be written"), room(2**16):
        export(state, tiny_tokenizer(), folder, ALONE)
    assert (names(tmp_path), names(folder)) == (["model"], ["model-f16.gguf"])
    state.model.lm.config.mlp_bias = True
    with pytest.raises(InputError, match="no GGUF can be made: the model has biases"):
        export(state, tiny_tokenizer(), folder, ALONE, gguf="f16")
    assert names(folder) == ["model-f16.gguf"]
    state.model.lm.config.mlp_bias = False
    export(state, tiny_tokenizer(), folder, ALONE)
    assert names(tmp_path) == ["model"]
    assert "model.safetensors" in names(folder)
    assert "model-f16.gguf" not in names(folder)
