"""Before and after, on one page and in one picture.

Arms come in, each a name and its traces; the first is what all others are held against. Their problems must be the same, and
where their runs are not alike (how many there are, what room they had, how their prompts were tokenised) the page says
so. `report.json` has every figure; `page` and `drawing` show them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataforge.errors import InputError, StorageError
from dataforge.files import arriving, write_json
from dataforge.statistics import holm
from trainer.length.degeneration import Reference
from trainer.length.measures import by_length, compare, dial, edges, ending, measure, read
from trainer.length.trace import Trace

FORMAT = 1

Arms = Mapping[str, Sequence[Trace]]
Keys = set[tuple[str, str]]

TESTED = ("score", "overlong_context", "overlong_output", "score_where_finished", "tokens")
"""What is compared; each is a family of tests for Holm's correction."""


def write_report(
    arms: Arms,
    out: Path,
    *,
    context: int,
    output: int,
    budget: int | None,
    price: float | None = None,
    only_common: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Write `report.html`, `report.png` and `report.json`; returns the latter.

    Args:
        arms: name → traces; the first is what all others are compared with (`before`).
        context: tokens of prompt and output within which thinking must close.
        output: tokens of output within which it must.
        budget: that the policy was to close at, or None.
        price: of a million tokens of output, in whatever money.
        only_common: compare the problems that all arms have, instead of refusing arms that have others.
        seed: of bootstrap and permutations.

    Raises:
        InputError: nothing to compare, or the problems of two arms do not match (L010).
        StorageError: the folder cannot be written (R021).
    """
    from trainer.length.drawing import picture
    from trainer.length.sheet import sheet

    for name, tokens in (("context", context), ("output", output), ("budget", budget)):
        if tokens is not None and tokens < 1:
            raise InputError(
                f"the {name} is {tokens:,} tokens", code="L001", help="give it one token at least"
            )
    shown, left_out = matched(arms, only_common)
    try:
        # Before the work, which may take minutes.
        out.mkdir(parents=True, exist_ok=True)
        document = analyse(
            shown, left_out, context=context, output=output, budget=budget, price=price, seed=seed
        )
        image = picture(document, shown)
        for name, content in (("report.png", image), ("report.html", sheet(document, image))):
            with arriving(out / name) as stream:
                stream.write(content)
        write_json(out / "report.json", document)
    except OSError as error:
        raise StorageError(
            f"{out} cannot be written: {error.strerror or error}",
            help="make room, or choose another folder with -o",
        ) from error
    return document


def analyse(
    arms: Arms,
    left_out: Sequence[str] = (),
    *,
    context: int,
    output: int,
    budget: int | None,
    price: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Every figure, as `report.json` has it.

    Args:
        arms, left_out: as `matched` gives them; the rest is as in `write_report`.
    """
    before = next(iter(arms.values()))
    benchmarks = sorted({trace.benchmark for trace in before})
    # The first run of each problem comes before the second of any: a cut takes no problem out.
    closed = sorted(
        (t for t in before if ending(t) == "closed"), key=lambda t: (t.sample, t.benchmark, t.problem)
    )
    reference = Reference(((t.benchmark, t.problem), t.thinking) for t in closed)
    readings = read((t for traces in arms.values() for t in traces), reference)

    def group(benchmark: str | None) -> dict[str, Any]:
        here = {
            name: [t for t in traces if benchmark is None or t.benchmark == benchmark]
            for name, traces in arms.items()
        }
        first, *others = here
        between = edges(t for traces in here.values() for t in traces)
        return {
            "arms": {
                name: measure(
                    traces, context=context, output=output, budget=budget, readings=readings, seed=seed
                )
                for name, traces in here.items()
            },
            "against": {
                name: compare(here[first], here[name], context=context, output=output, seed=seed)
                for name in others
            },
            "by_length": {name: by_length(traces, between) for name, traces in here.items()},
        }

    document: dict[str, Any] = {
        "length_report": FORMAT,
        "arms": list(arms),
        "context": context,
        "output": output,
        "budget": budget,
        "price": price,
        "seed": seed,
        "definitions": definitions(context, output),
        "notes": [*left_out, *_differences(arms, context, output)],
        "benchmarks": {name: group(name) for name in benchmarks},
        "all": group(None),
        "dial": _dials(arms),
    }
    _correct(document["benchmarks"].values())
    return document


def _dials(arms: Arms) -> dict[str, Any]:
    """The dial of each arm that was asked for budgets. Arms that were each asked for another one are steps of one dial: those
    that are called alike but for their budgets, else all of them.
    """
    found = {name: each for name, traces in arms.items() if (each := dial(traces))}
    steps = {name: each["steps"][0]["asked"] for name, each in found.items() if len(each["steps"]) == 1}
    alike: dict[str, list[str]] = {}
    for name, asked in steps.items():
        alike.setdefault(name.removesuffix(f" {asked:,}"), []).append(name)
    for names in [names for names in alike.values() if len(names) > 1] or [list(steps)]:
        together = dial(trace for name in names for trace in arms[name])
        if together and len({steps[name] for name in names}) == len(names) > 1:
            for name in names:
                del found[name]
            found[" + ".join(names)] = together
    return found


def definitions(context: int, output: int) -> dict[str, str]:
    """Both of the report's definitions of overlong, in words."""
    return {
        "overlong_context": f"no </think> within {context:,} tokens of prompt and output together",
        "overlong_output": f"no </think> within {output:,} tokens of output",
    }


def matched(arms: Arms, only_common: bool) -> tuple[dict[str, Sequence[Trace]], list[str]]:
    """Arms of the same problems, and in words what was left out for it.

    Raises:
        InputError: nothing to compare, or the problems of two arms do not match (L010).
    """
    if len(arms) < 2 or not all(arms.values()):
        empty = next((name for name, traces in arms.items() if not traces), None)
        what = "there is one arm only" if empty is None else f"`{empty}` has no traces"
        raise InputError(
            f"nothing to compare: {what}",
            code="L010",
            help="give two folders of traces at least: those before, and those after",
        )
    problems = {name: {(t.benchmark, t.problem) for t in traces} for name, traces in arms.items()}
    common = set.intersection(*problems.values())
    if all(keys == common for keys in problems.values()):
        return dict(arms), []
    if not common:
        raise InputError(
            "nothing to compare: no problem is in all arms",
            code="L010",
            help="measure all of them on the same prompts; problems are matched by benchmark and id",
        )
    if not only_common:
        everything = set.union(*problems.values())
        lacking = {name: sorted(everything - keys) for name, keys in problems.items()}
        told = (f"{name} lacks {len(lost):,}: {_few(lost)}" for name, lost in lacking.items() if lost)
        raise InputError(
            f"the arms have not the same problems: {'; '.join(told)}",
            code="L010",
            help="measure all of them on the same prompts, or compare what they share with --only-common",
        )
    kept: dict[str, Sequence[Trace]] = {
        name: [t for t in traces if (t.benchmark, t.problem) in common] for name, traces in arms.items()
    }
    left_out = ", ".join(
        f"{len(keys - common):,} of {name}" for name, keys in problems.items() if keys - common
    )
    return kept, [f"compared on the {len(common):,} problems that all arms have; left out: {left_out}"]


def _few(problems: Sequence[tuple[str, str]], most: int = 5) -> str:
    named = ", ".join(f"{problem} of {benchmark}" for benchmark, problem in problems[:most])
    return named + (f" and {len(problems) - most:,} more" if len(problems) > most else "")


def _differences(arms: Arms, context: int, output: int) -> Iterator[str]:
    """In what the arms are not alike, though they should be; and what the figures do not know."""
    samples = {name: _range(_runs(traces).values()) for name, traces in arms.items()}
    if len(set(samples.values())) > 1 or any("–" in each for each in samples.values()):
        yield "not as many runs a problem everywhere: " + _each(samples)
    limits = {name: _range(t.limit for t in traces) for name, traces in arms.items()}
    if len(set(limits.values())) > 1:
        yield "they had not the same context: " + _each(limits)
    first, *others = arms
    prompts = _prompts(arms[first])
    for name in others:
        here = _prompts(arms[name])
        same = [problem for problem in prompts if prompts[problem][0] == here[problem][0]]
        if asked := sum(prompts[problem][1] != here[problem][1] for problem in prompts):
            yield f"{asked:,} problems of {name} have another last message of the user than those of {first}"
        if other := sum(prompts[problem][2] != here[problem][2] for problem in same):
            yield (
                f"{other:,} prompts of {name} have not as many tokens as the same prompts of {first}: another tokenizer or "
                "chat template, so lengths are not of the same tokens"
            )
    for name, traces in arms.items():
        open_ended = [t for t in traces if ending(t) == "limit"]
        if short := sum(t.limit < context or t.limit - t.prompt_tokens < output for t in open_ended):
            yield (
                f"{short:,} runs of {name} were cut off before the context or the output that was asked about, and count as "
                "overlong"
            )
        if forced := sum(ending(t) == "forced" for t in traces):
            yield (
                f"{forced:,} of {len(traces):,} runs of {name} were closed from outside: they are not overlong, whatever the "
                "policy would have done"
            )
        if unscored := sum(t.score is None for t in traces):
            yield f"{unscored:,} of {len(traces):,} runs of {name} have no score, and count in no score"


def _runs(traces: Iterable[Trace]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for trace in traces:
        key = (trace.benchmark, trace.problem)
        counts[key] = counts.get(key, 0) + 1
    return counts


def _prompts(traces: Iterable[Trace]) -> dict[tuple[str, str], tuple[Any, str, int]]:
    """Of each problem: its messages, the last of the user, and its tokens, all as its first run has them."""
    found: dict[tuple[str, str], tuple[Any, str, int]] = {}
    for t in sorted(traces, key=lambda t: (t.sample, t.asked or 0)):
        users = [m.content for m in t.messages if m.role == "user"]
        messages = [(m.role, m.content) for m in t.messages]
        found.setdefault((t.benchmark, t.problem), (messages, users[-1] if users else "", t.prompt_tokens))
    return found


def _range(counts: Iterable[int]) -> str:
    listed = list(counts)
    low, high = min(listed), max(listed)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _each(found: Mapping[str, str]) -> str:
    return ", ".join(f"{value} in {name}" for name, value in found.items())


def _correct(groups: Iterable[dict[str, Any]]) -> None:
    """Holm's correction of each kind of test over benchmarks and arms, beside the p-value."""
    listed = list(groups)
    for kind in TESTED:
        family = [found for group in listed for arm in group["against"].values() if (found := arm[kind])]
        for found, corrected in zip(family, holm([found["p"] for found in family]), strict=True):
            found["p_holm"] = corrected
