"""The audit's figures on record: `audited.json`, and the table of `docs/verifiers.md` that is made of it.

The file ships with the package, so that `dataforge verifiers` can say how often each verifier is wrong without auditing
it. Figures hold for one version of a verifier; of any other version it counts as not audited. An installed package's
verifiers have their figures beside their own `gold/`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataforge.errors import InputError, OutputError
from dataforge.verifiers.audit import Audit, Tally, gold_file, rate
from dataforge.verifiers.protocol import Verifier
from dataforge.verifiers.registry import find, names

BEGIN = "<!-- audit: begin, written by `dataforge verifiers audit --page` -->"
END = "<!-- audit: end -->"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an audit of one version of a verifier found.

    Attributes:
        seed: what the generated cases were drawn by.
        hash_seeds: under how many hash seeds all verdicts were compared and the same; 0 where they were not.
    """

    version: int
    seed: int
    hash_seeds: int
    gold: Tally
    generated: Tally

    @property
    def together(self) -> Tally:
        """Gold and generated cases."""
        return self.gold + self.generated


def recorded(verifier: Verifier[Any]) -> Recorded | None:
    """The figures of this version of a verifier, or None where it was not audited."""
    entry = _read(_file(verifier)).get(verifier.name)
    if entry is None or entry["version"] != verifier.version:
        return None
    return Recorded(
        entry["version"],
        entry["seed"],
        entry["hash_seeds"],
        Tally.from_json(entry["gold"]),
        Tally.from_json(entry["generated"]),
    )


def record(audits: Iterable[Audit], *, seed: int, hash_seeds: int) -> None:
    """Put the figures of audits on record; those of other verifiers stay.

    Raises:
        OutputError: R021, where the file cannot be written.
    """
    files: dict[Path, dict[str, Any]] = {}
    for found in audits:
        path = _file(find(found.name))
        entries = files.setdefault(path, dict(_read(path)))
        entries[found.name] = {
            "version": found.version,
            "seed": seed,
            "hash_seeds": hash_seeds,
            "gold": found.gold.to_json(),
            "generated": found.generated.to_json(),
        }
    for path, entries in files.items():
        _write(path, json.dumps(dict(sorted(entries.items())), indent=1) + "\n")
    _read.cache_clear()


def table() -> str:
    """Every verifier that there is, with the figures on record, as a Markdown table by family."""
    lines = [
        "| verifier | family | gold + / − | generated + / − | false negatives | false positives | errors |",
        "|---|---|---|---|---|---|---|",
    ]
    verifiers = [find(name) for name in names()]
    for verifier in sorted(verifiers, key=lambda v: (v.family, v.name)):
        figures = recorded(verifier)
        cells = ["not audited", "", "", "", ""] if figures is None else _cells(figures)
        lines.append(" | ".join([f"| `{verifier.name}` v{verifier.version}", verifier.family, *cells]) + " |")
    return "\n".join(lines)


def _cells(figures: Recorded) -> list[str]:
    both = figures.together
    return [
        f"{figures.gold.positives:,} / {figures.gold.negatives:,}",
        f"{figures.generated.positives:,} / {figures.generated.negatives:,}",
        share(both.false_negatives, both.positives),
        share(both.false_positives, both.negatives),
        errors(both),
    ]


def share(wrong: int, of: int) -> str:
    """`0 (≤ 0.06%)`: how many, and the bound on the share."""
    found = rate(wrong, of)
    return "" if found is None else f"{wrong:,} (≤ {100 * found['at_most']:.2g}%)"


def errors(tally: Tally) -> str:
    """Errors where none was due, by kind."""
    kinds = dict(sorted(tally.errors.items())) | ({"bad span": tally.bad_spans} if tally.bad_spans else {})
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()) or "0"


def in_page(page: str) -> str:
    """The page with its table made anew.

    Raises:
        InputError: V011, where the page has no place for it.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(
            "the page has no place for the table",
            code="V011",
            help=f"put these two lines where it should stand: {BEGIN} and {END}",
        )
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def check_page(path: Path) -> None:
    """See, before hours of audit, that a page has a place for the table.

    Raises:
        InputError: V011, where it has none, or R021, where it cannot be read.
    """
    in_page(_page(path))


def write_page(path: Path) -> None:
    """Make the table of a page anew.

    Raises:
        InputError: V011, where the page has no place for it, or R021, where it cannot be read or written.
    """
    _write(path, in_page(_page(path)))


def _page(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}",
            code="R021",
            help="name a Markdown page that has the two marks of the table, such as docs/verifiers.md",
        ) from error


def _file(verifier: Verifier[Any]) -> Path:
    return gold_file(verifier).parent.parent / "audited.json"


@functools.cache
def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return entries


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}",
            code="R021",
            help="figures are put on record in a checkout of the source, or an environment that may be written to",
        ) from error
