"""Seed files → seeds: the passages and records that walks start from, read one at a time.

In come names of files, folders and globs; out comes a stream of `Seed`s in an order that depends on nothing but the
files' names and contents. Nothing is held but the record at hand, so a corpus of any size reads in the same memory.
A file that cannot be read as it should be stops the stream with a `SeedError` that names the place and the mend;
no record is skipped or repaired in silence.

    paths = expand(["seeds/*.jsonl"], base)
    for seed in read_seeds(paths, base=base):
        ...

To read one more format, add a file to `formats/` and nothing else.
"""

from dataforge.seeds.find import expand
from dataforge.seeds.read import count, read_seeds
from dataforge.seeds.seed import Seed

__all__ = ["Seed", "count", "expand", "read_seeds"]
