"""What a run leaves for people: `run.json` at its start; at its end `summary.json`, `loss.png`, and `report.html`, one page
that needs nothing else.
"""

from __future__ import annotations

import io
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from dataforge.files import arriving
from trainer import config as configuration
from trainer.config import Config
from trainer.metrics import Figures, duration, smoothed
from trainer.packed import PackedSet
from trainer.page import page, picture, table
from trainer.parallel import World

PACKAGES = ("dataforge-compiler", "torch", "transformers", "tokenizers", "numpy")
"""Whose versions `run.json` records."""


def describe(config: Config, data: PackedSet, world: World) -> dict[str, Any]:
    """What was asked for, and with what it runs."""
    on_cuda = world.device.type == "cuda"
    return {
        "rows": len(data),
        "context": data.context,
        "processes": world.size,
        "device": torch.cuda.get_device_name(world.device) if on_cuda else platform.machine(),
        "threads": torch.get_num_threads(),
        "config_digest": configuration.digest(config),
        "data_digest": data.digest,
        "config": configuration.flat(config),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def summarise(steps: Sequence[Figures], about: Mapping[str, Any]) -> dict[str, Any]:
    """The run in a few numbers. First and last loss are means over a tenth of the steps, since batches differ."""
    tenth = max(1, len(steps) // 10)
    seconds = sum(s.seconds for s in steps)
    tokens, trained = sum(s.tokens for s in steps), sum(s.trained_tokens for s in steps)
    return {
        "steps": len(steps),
        "tokens": tokens,
        "trained_tokens": trained,
        "first_loss": float(np.mean([s.loss for s in steps[:tenth]])),
        "last_loss": float(np.mean([s.loss for s in steps[-tenth:]])),
        "seconds": seconds,
        "tokens_per_s": tokens / seconds,
        "trained_tokens_per_s": trained / seconds,
        "efficiency": float(np.mean([s.efficiency for s in steps])),
        "config_digest": about["config_digest"],
        "data_digest": about["data_digest"],
    }


def write(out: Path, steps: Sequence[Figures], about: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Draw the curves, and put them on a page with everything that the run was made of."""
    image = io.BytesIO()
    _curves(steps).savefig(image, format="png", dpi=110)
    with arriving(out / "loss.png") as stream:
        stream.write(image.getvalue())
    shown = {
        "loss": f"{summary['first_loss']:.4f} → {summary['last_loss']:.4f}",
        "steps": f"{summary['steps']:,}",
        "tokens": f"{summary['tokens']:,}, of which {summary['trained_tokens']:,} trained",
        "time": f"{duration(summary['seconds'])} at {summary['tokens_per_s']:,.0f} tokens/s",
        "packed": f"{summary['efficiency']:.2%} of the room in rows",
        "weights": summary["model"],
    }
    rest = {name: value for name, value in about.items() if name not in ("config", "versions")}
    with arriving(out / "report.html") as stream:
        stream.write(
            page(
                out.name,
                table(shown.items()),
                picture(image.getvalue(), "loss, learning rate, gradient and speed by step"),
                "<h2>Run</h2>",
                table(rest.items()),
                "<h2>Configuration</h2>",
                table(about["config"].items()),
                "<h2>Versions</h2>",
                table(about["versions"].items()),
            )
        )


def _curves(steps: Sequence[Figures]) -> Figure:
    at = [s.step for s in steps]
    figure = Figure(figsize=(11, 9))
    # Laying out by measuring every label would take longer than the steps of a small run.
    figure.subplots_adjust(left=0.06, right=0.98, top=0.96, bottom=0.05, hspace=0.45, wspace=0.18)
    axes = figure.subplot_mosaic([["loss", "loss"], ["loss", "loss"], ["kinds", "lr"], ["speed", "norm"]])
    losses = [s.loss for s in steps]
    axes["loss"].plot(at, losses, color="tab:blue", alpha=0.35, label="each step")
    axes["loss"].plot(at, smoothed(losses), color="tab:blue", label="smoothed")
    axes["loss"].legend(frameon=False)
    for kind in sorted({kind for s in steps for kind in s.loss_by_kind}):
        there = [(s.step, s.loss_by_kind[kind]) for s in steps if kind in s.loss_by_kind]
        # The name is the data's: a dollar in it begins no formula, an underscore hides nothing.
        name = " " * kind.startswith("_") + kind.replace("$", r"\$")
        axes["kinds"].plot([step for step, _ in there], smoothed([loss for _, loss in there]), label=name)
    axes["kinds"].legend(frameon=False)
    axes["lr"].plot(at, [s.lr for s in steps], color="tab:gray")
    axes["norm"].plot(at, [s.grad_norm for s in steps], color="tab:red")
    axes["speed"].plot(at, [s.tokens / s.seconds for s in steps], color="tab:green", label="all")
    axes["speed"].plot(at, [s.trained_tokens / s.seconds for s in steps], color="tab:olive", label="trained")
    axes["speed"].legend(frameon=False)
    titles = {
        "loss": "loss (mean over trained tokens)",
        "kinds": "loss by kind of sample, smoothed",
        "lr": "learning rate",
        "speed": "tokens a second",
        "norm": "norm of the gradient before clipping",
    }
    # A rate of 0.0001 as 1.0, with its power above the axis: long labels would reach into the plot beside it.
    axes["lr"].ticklabel_format(axis="y", style="sci", scilimits=(-2, 4))
    for name, title in titles.items():
        axes[name].set_title(title, loc="left", fontsize=10)
        axes[name].spines[["top", "right"]].set_visible(False)
        axes[name].margins(x=0.01)
    axes["speed"].set_ylim(bottom=0)
    axes["loss"].set_xlabel("step")
    return figure
