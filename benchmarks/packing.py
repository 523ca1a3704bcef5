"""How close to the best packing ours come, and at what cost, beside the packers of TRL and axolotl and simpler ones.

    python benchmarks/packing.py --quick
    python benchmarks/packing.py --axolotl /tmp/axolotl    # pip install --no-deps --target /tmp/axolotl axolotl

Lengths are drawn from three laws and kept within a context of 16,384 tokens. `hermes` has the facts that are published of
Hermes 4's data (arXiv:2508.18255): 70% reasoning samples and 30% others, both lognormal, the first five times as long on
average, 3,830 tokens in all and 2 to 3% at the context's end. `long` are reasoning traces most of which are longer than
half a context, `short` are chats. Every cell is a process of its own, which draws the lengths, packs a few to have all
compiled, and then counts CPU seconds of whole calls (medians; children count) and by how much the first of them raised the
peak of its resident memory. Every packing is checked: no bin over capacity, no sample lost or doubled.

`over` is how many bins a packing has more than total length by capacity, `over L2` how many more than Martello and Toth's
bound L2. TRL's packer is its `pack_dataset` with its defaults, that is in batches of 1,000, and with one batch for all. It
moves tokens too (of one byte each here): `moving` is what Arrow's kernels took for it. axolotl's is its
`MultipackBatchSampler` with the defaults of its configuration. The last line is one JSON object; `cpu_ratio` is CPU
seconds a sample of TRL's in one batch, without `moving`, over ours.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CAPACITY = 16_384

Lengths = NDArray[np.int32]
Bins = tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]
"""Sample numbers bin by bin, and where each bin starts."""
Call = Callable[[], Callable[[], Bins]]
"""What is measured: a packer on given lengths. It returns how to read its result, which is not measured."""


def within_context(lengths: NDArray[np.float64]) -> Lengths:
    return np.clip(np.rint(lengths), 1, CAPACITY).astype(np.int32)


def hermes(count: int, seed: int) -> Lengths:
    random = np.random.default_rng(seed)
    reasoning, spread = random.random(count) < 0.7, random.standard_normal(count)
    return within_context(np.where(reasoning, 3_750 * np.exp(0.85 * spread), 670 * np.exp(0.9 * spread)))


def long(count: int, seed: int) -> Lengths:
    return within_context(9_000 * np.exp(0.6 * np.random.default_rng(seed).standard_normal(count)))


def short(count: int, seed: int) -> Lengths:
    return within_context(400 * np.exp(0.8 * np.random.default_rng(seed).standard_normal(count)))


LAWS = {"hermes": hermes, "long": long, "short": short}


def ours(lengths: Lengths, **settings: Any) -> Call:
    from trainer.pack import pack

    def call() -> Callable[[], Bins]:
        packing = pack(lengths, CAPACITY, **settings)
        return lambda: (packing.order, packing.starts)

    return call


def next_fit(lengths: Lengths) -> Call:
    """A bin is filled until a sample does not fit, and never looked at again: torchtune's rule for whole samples."""

    def call() -> Callable[[], Bins]:
        starts, room = [0], CAPACITY
        for sample, length in enumerate(lengths.tolist()):
            if length > room:
                starts.append(sample)
                room = CAPACITY
            room -= length
        return lambda: (np.arange(len(lengths)), np.array([*starts, len(lengths)]))

    return call


class Timed:
    """`pyarrow.compute` as TRL uses it, whose CPU seconds are counted apart: that is what moves tokens."""

    spent_s = 0.0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        import pyarrow.compute

        function = getattr(pyarrow.compute, name)

        def timed(*arguments: Any, **more: Any) -> Any:
            began = cpu_s()
            try:
                return function(*arguments, **more)
            finally:
                Timed.spent_s += cpu_s() - began

        return timed


def trl(lengths: Lengths, batch: int = 0) -> Call:
    """TRL's best-fit decreasing, through its public function, in batches of 1,000 or of the size given."""
    import datasets
    import pyarrow as pa
    import trl.data_utils
    from trl import pack_dataset

    datasets.disable_progress_bars()
    trl.data_utils.pc = Timed()
    bounds = pa.array(np.append(0, np.cumsum(lengths, dtype=np.int32)), pa.int32())
    tokens = pa.array(np.zeros(int(lengths.sum(dtype=np.int64)), np.int8))
    rows = datasets.Dataset(pa.table({"input_ids": pa.ListArray.from_arrays(bounds, tokens)}))

    def call() -> Callable[[], Bins]:
        packed = pack_dataset(rows, CAPACITY, map_kwargs={"batch_size": batch} if batch else None)

        def read() -> Bins:
            # It tells the lengths in each bin, not whose they are: each is given to a sample that has it.
            column = packed.with_format("arrow")[:]["seq_lengths"].combine_chunks()
            sizes = column.flatten().to_numpy()
            order = np.empty(len(sizes), np.int64)
            order[np.argsort(sizes, kind="stable")] = np.argsort(lengths, kind="stable")
            return order, np.append(0, np.cumsum(column.value_lengths().to_numpy()))

        return read

    return call


def axolotl(lengths: Lengths, folder: str) -> Call:
    """axolotl's first fit over groups of 100,000, in the order of its sampler, at most 200 samples to a bin."""
    sys.path.insert(0, folder)
    from axolotl.utils.samplers.multipack import MultipackBatchSampler
    from torch.utils.data import SequentialSampler

    def call() -> Callable[[], Bins]:
        sampler = MultipackBatchSampler(
            SequentialSampler(lengths),
            batch_size=1,
            batch_max_len=CAPACITY,
            lengths=lengths,
            bin_size=200,
            group_size=100_000,
            num_processes=1,
            drop_last=True,
        )
        batches = sampler.generate_batches(set_stats=True)

        def read() -> Bins:
            bins = [bin for batch in batches for bin in batch]
            return np.concatenate(bins), np.append(0, np.cumsum([len(bin) for bin in bins]))

        return read

    return call


PACKERS: dict[str, Callable[..., Call]] = {
    "ours": ours,
    "next_fit": next_fit,
    "trl": trl,
    "axolotl": axolotl,
}


def check(lengths: Lengths, order: NDArray[np.integer[Any]], starts: NDArray[np.integer[Any]]) -> None:
    """That a packing is one."""
    seen = np.bincount(order, minlength=len(lengths))
    if len(seen) != len(lengths) or seen.min() != 1 or seen.max() != 1:
        raise SystemExit("a sample was lost or doubled")
    if starts[0] != 0 or starts[-1] != len(order) or (np.diff(starts) < 1).any():
        raise SystemExit("a bin is empty, or not all samples are in bins")
    if np.add.reduceat(lengths[order].astype(np.int64), starts[:-1]).max() > CAPACITY:
        raise SystemExit("a bin is over capacity")


def cpu_s() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def resident_mb(what: str) -> float:
    """`VmRSS`, resident memory now, or `VmHWM`, the most of it since the peak was last forgotten."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) / 1024


def measure(cell: dict[str, Any]) -> dict[str, Any]:
    """One cell, in this process."""
    from trainer.pack import lower_bound

    began = cpu_s()
    packer, settings = PACKERS[cell["packer"]], cell["settings"]
    lengths = LAWS[cell["law"]](cell["samples"], cell["seed"])
    packer(lengths[:1_000], **settings)()
    call = packer(lengths, **settings)
    # Forgets the peak of memory so far.
    Path("/proc/self/clear_refs").write_text("5")
    Timed.spent_s = 0.0
    ready, memory = cpu_s(), resident_mb("VmRSS")
    read = call()
    cpu = [cpu_s() - ready]
    extra = resident_mb("VmHWM") - memory
    moving = Timed.spent_s
    check(lengths, *read())
    for _ in range(cell["repeats"] - 1):
        before = cpu_s()
        call()
        cpu.append(cpu_s() - before)
    starts = read()[1]
    total = int(lengths.sum(dtype=np.int64))
    bins, simple, bound = len(starts) - 1, -(-total // CAPACITY), lower_bound(lengths, CAPACITY)
    return {
        **cell,
        "mean": total / len(lengths),
        "over_half": float((2 * lengths > CAPACITY).mean()),
        "start_s": ready - began,
        "cpu_s": statistics.median(cpu),
        "moving_s": moving,
        "extra_mb": extra,
        "bins": bins,
        "over": bins - simple,
        "over_percent": 100 * (bins - simple) / simple,
        "over_l2": bins - bound,
        "efficiency": 100 * total / (bins * CAPACITY),
    }


def in_a_process(name: str, **cell: Any) -> dict[str, Any]:
    """Measure in a process, and print the row of the table."""
    cell = {"law": "hermes", "seed": 0, "repeats": 1, "settings": {}, **cell}
    done = subprocess.run(
        [sys.executable, __file__, "--cell", json.dumps(cell)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    row: dict[str, Any] = {"name": name, **json.loads(done.stdout.splitlines()[-1])}
    print(
        f"{name:<36} {row['law']:<7} {row['samples']:>9,} {row['bins']:>9,} {row['over']:>7,} {row['over_percent']:>9.5f}"
        f" {row['over_l2']:>7,} {row['efficiency']:>9.5f} {row['cpu_s']:>8.3f} {row['moving_s']:>8.3f} {row['extra_mb']:>8.1f}",
        flush=True,
    )
    return row


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer cells and seeds: within a minute")
    parser.add_argument("--samples", type=int, default=5_000_000, help="of the largest set")
    parser.add_argument("--axolotl", metavar="DIR", help="a folder that axolotl is installed in")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.cell:
        print(json.dumps(measure(json.loads(options.cell))))
        return

    most, quick = options.samples, options.quick
    million = min(most, 1_000_000)
    print(f"{'packer':<36} {'law':<7} {'samples':>9} {'bins':>9} {'over':>7} {'over %':>9}", end=" ")
    print(f"{'over L2':>7} {'effic. %':>9} {'CPU s':>8} {'moving':>8} {'extra MB':>8}")
    seeds = [
        in_a_process("ours, first fit decreasing", packer="ours", samples=most, seed=seed, repeats=3)
        for seed in range(1 if quick else 5)
    ]
    best = in_a_process(
        "ours, best fit decreasing", packer="ours", settings={"method": "bfd"}, samples=most, repeats=3
    )
    shuffled = in_a_process(
        "ours, first fit, bins shuffled", packer="ours", settings={"shuffle": 0}, samples=most, repeats=3
    )
    for samples in (million,) if quick else (1_000, 10_000, 100_000, million):
        for method in ("ffd", "bfd")[: 2 if samples == million else 1]:
            name = f"ours, {'first' if method == 'ffd' else 'best'} fit decreasing"
            in_a_process(name, packer="ours", settings={"method": method}, samples=samples, repeats=5)
    windows = {
        window: in_a_process(
            f"ours, windows of {window:,}", packer="ours", settings={"window": window}, samples=million
        )
        for window in ((5_000,) if quick else (500, 1_000, 2_000, 5_000, 10_000))
    }
    in_a_process("next fit", packer="next_fit", samples=million)
    bearable = 20_000 if quick else 100_000
    batches = in_a_process("TRL, as shipped (batches of 1,000)", packer="trl", samples=bearable)
    whole = in_a_process("TRL, one batch", packer="trl", settings={"batch": bearable}, samples=bearable)
    rows: dict[str, dict[str, Any] | None] = {"axolotl": None}
    if options.axolotl:
        for samples in (100_000,) if quick else (100_000, 1_000_000):
            rows["axolotl"] = in_a_process(
                "axolotl, as shipped", packer="axolotl", settings={"folder": options.axolotl}, samples=samples
            )
    else:
        print("axolotl is left out: no --axolotl DIR was given")
    for law in ("long", "short"):
        for method in ("ffd",) if quick else ("ffd", "bfd"):
            name = f"ours, {'first' if method == 'ffd' else 'best'} fit decreasing"
            rows[law] = in_a_process(
                name, packer="ours", settings={"method": method}, samples=million, law=law, repeats=3
            )

    def figures(row: dict[str, Any] | None) -> dict[str, Any] | None:
        keys = (
            "samples",
            "cpu_s",
            "moving_s",
            "extra_mb",
            "bins",
            "over",
            "over_percent",
            "over_l2",
            "efficiency",
        )
        return row and {key: round(row[key], 5) for key in keys}

    typical = sorted(seeds, key=lambda row: row["over"])[len(seeds) // 2]
    theirs = (whole["cpu_s"] - whole["moving_s"]) / whole["samples"]
    print(
        json.dumps(
            {
                "benchmark": "packing",
                "capacity": CAPACITY,
                "mean": round(typical["mean"], 1),
                "ffd": figures(typical),
                "ffd_over_percent_by_seed": [round(row["over_percent"], 5) for row in seeds],
                "ffd_cpu_s": round(statistics.median(row["cpu_s"] for row in seeds), 3),
                "ffd_extra_mb": round(max(row["extra_mb"] for row in seeds), 1),
                "bfd": figures(best),
                "shuffled": figures(shuffled),
                "windows": {str(window): round(row["efficiency"], 3) for window, row in windows.items()},
                "trl": figures(batches),
                "trl_one_batch": figures(whole),
                **{name: figures(row) for name, row in rows.items()},
                "cpu_ratio": round(theirs / (typical["cpu_s"] / typical["samples"]), 1),
            }
        )
    )


if __name__ == "__main__":
    main()
