"""A run that is killed with SIGKILL at each of its steps on the disk, one after the other.

Every opening, making, renaming and removing of a file is heard before it happens. A forked process kills itself at the
first of them, the next one at the second, until one comes through. After each, what it left is resumed from. Steps are no
training here, only changes of the weights by AdamW. `kills.json` says what came of each kill.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from two_processes import DATA, Case, new_state

from trainer.checkpoint import Checkpoints, State
from trainer.config import CheckpointConfig, Config, MeshConfig
from trainer.parallel import World

ALONE = World(0, 1, torch.device("cpu"), None, 0, 1)
CONFIG = Config(checkpoint=CheckpointConfig(keep=1))
CASE = Case(MeshConfig(), changes={"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 32})
STEPS = 2
HEARD = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"}


def change(state: State) -> None:
    for parameter in state.model.parameters():
        parameter.grad = torch.full_like(parameter, 1 + state.step)
    state.optimizer.step()
    state.step += 1
    state.trained_tokens += 7


def everything(state: State) -> list[Tensor]:
    return [
        tensor.clone()
        for parameter in state.model.parameters()
        for tensor in (parameter.detach(), *state.optimizer.state[parameter].values())
    ]


def is_whole(folder: Path) -> bool:
    try:
        files = json.loads((folder / "checkpoint.json").read_bytes())["files"]
    except FileNotFoundError:
        return False
    return {file.name for file in folder.iterdir()} == {*files, "checkpoint.json"}


def run(state: State, folder: Path, kill_at: int, acknowledge: int) -> None:
    """Make all steps, a checkpoint after each, and say which of them are written. Never returns."""
    count = 0

    def hear(event: str, args: tuple[Any, ...]) -> None:
        nonlocal count
        if event in HEARD and (event != "open" or str(folder) in str(args[0])):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)
    checkpoints = Checkpoints(folder, ALONE, CONFIG, DATA)
    while state.step < STEPS:
        change(state)
        checkpoints.save(state, background=True)
        checkpoints.finish()
        os.write(acknowledge, bytes([state.step]))
    os._exit(0)


def main(folder: Path) -> None:
    folder.mkdir()
    begun, state = new_state(ALONE, CASE), new_state(ALONE, CASE)
    expected = []
    for _ in range(STEPS):
        change(state)
        expected.append(everything(state))
    kills: list[dict[str, Any]] = []
    while not kills or kills[-1]["killed"]:
        run_folder = folder / str(len(kills))
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            run(begun, run_folder, len(kills) + 1, writable)
        os.close(writable)
        status = os.waitpid(child, 0)[1]
        acknowledged = max(os.read(readable, STEPS), default=0)
        os.close(readable)
        found = Checkpoints(run_folder, ALONE, CONFIG, DATA).resume(state)
        kills.append(
            {
                "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
                "acknowledged": acknowledged,
                "resumed": state.step if found else 0,
                "same": not found or all(map(torch.equal, expected[state.step - 1], everything(state))),
                "whole": all(map(is_whole, run_folder.iterdir())),
                "left": sorted(file.name for file in run_folder.iterdir()),
            }
        )
    (folder / "kills.json").write_text(json.dumps(kills))
