"""One-token mistakes in the shipped graphs: each gives an error at its place, most with the right mend.

`pytest -s` prints the share of right mends a kind. The counted cases are those that give an error; a mistake after
which the program is still a program (a dropped `retry 2`, say) is compiled all the same, and is not counted.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataforge.domain.resolve import load_program
from dataforge.lang.diagnostics import Diagnostic, Report, in_order
from dataforge.plan.link import link
from dataforge.project import load_project
from tests.lang.mutations import Mutation, may_point_at, mutations, names_the_mend, sample

ROOT = Path(__file__).parent.parent.parent
FILES = {
    "graphs/grounded_qa.forge": "graphs/grounded_qa.forge",
    "graphs/quickstart.forge": "graphs/quickstart.forge",
    "graphs/rubrics.forge": "graphs/grounded_qa.forge",
    "dataforge/starter/hello.forge": "dataforge/starter/hello.forge",
}
"""The corrupted file → the main file that is compiled."""
SEED = 3
A_KIND = 8
"""Mutations of each kind, of each file."""
TIME_LIMIT_S = 5.0


@dataclass(frozen=True)
class Case:
    file: str
    mutation: Mutation
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "error"]

    def place(self, diagnostic: Diagnostic) -> str | None:
        """Why the caret of an error may be where it is."""
        source = diagnostic.source
        line, _ = source.line_column(diagnostic.span.start)
        corrupted = source.text == self.mutation.text
        return may_point_at(self.mutation, corrupted, line, source.line(line))

    @property
    def pointed(self) -> bool:
        return any(self.place(d) for d in self.errors)

    @property
    def mended(self) -> bool:
        return any(names_the_mend(self.mutation, d.message, d.help) for d in self.errors if self.place(d))

    def show(self) -> str:
        m = self.mutation
        what = f"{self.file}: {m.kind}: {m.original!r} written {m.written!r}"
        return "\n".join([what, *(d.render() for d in self.errors)])


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeoutError where the body takes more of the CPU's time."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"no answer within {seconds} s of CPU time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def diagnose(file: str, text: str) -> tuple[Diagnostic, ...]:
    """Compile the main file of a shipped program with one of its files replaced."""
    main = ROOT / FILES[file]
    project = load_project(main)
    name = (ROOT / file).relative_to(project.root).as_posix()
    report = Report()
    program = load_program(main, project, report, overlay={name: text})
    if program is not None:
        link(program.graph, program.terms, program.structs, report)
    return in_order(report.diagnostics)


def try_out(seed: int, most: int) -> list[Case]:
    cases = []
    for file in FILES:
        text = (ROOT / file).read_text(encoding="utf-8")
        for mutation in sample(text, seed, most):
            with time_limit(TIME_LIMIT_S):
                found = diagnose(file, mutation.text)
            for diagnostic in found:
                diagnostic.render()
            cases.append(Case(file, mutation, found))
    return cases


def table(cases: list[Case]) -> str:
    """The share of right mends, by kind of mistake."""
    wrong = [c for c in cases if c.errors]
    lines = [f"{'mistake':<28}{'errors':>8}{'placed':>8}{'mended':>8}{'share':>8}{'valid':>8}"]
    valid = Counter(c.mutation.kind for c in cases if not c.errors)
    for kind in [*dict.fromkeys(c.mutation.kind for c in cases), "all"]:
        of = [c for c in wrong if kind in (c.mutation.kind, "all")]
        mended = sum(c.mended for c in of)
        placed = sum(c.pointed for c in of)
        still = valid[kind] if kind != "all" else valid.total()
        share = f"{mended / len(of):.0%}" if of else "-"
        lines.append(f"{kind:<28}{len(of):>8}{placed:>8}{mended:>8}{share:>8}{still:>8}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Every sampled mistake, compiled: no traceback and no hang, or this fails."""
    return try_out(SEED, A_KIND)


def test_the_files_are_right_as_they_are() -> None:
    for file in FILES:
        found = diagnose(file, (ROOT / file).read_text(encoding="utf-8"))
        assert not [d.render() for d in found if d.severity == "error"]


def test_at_least_two_hundred_mistakes_give_errors(cases: list[Case]) -> None:
    wrong = [c for c in cases if c.errors]
    assert len(wrong) >= 200
    assert len({c.mutation.kind for c in wrong}) >= 20


def test_every_error_points_at_the_mistake_or_at_what_refers_to_it(cases: list[Case]) -> None:
    astray = [c.show() for c in cases if c.errors and not c.pointed]
    assert not astray, "\n\n".join(astray)


def test_the_first_error_is_about_the_mistake(cases: list[Case]) -> None:
    """What a mistake breaks elsewhere is not said before the mistake itself, but for one in a hundred."""
    wrong = [c for c in cases if c.errors]
    assert sum(c.place(c.errors[0]) is not None for c in wrong) / len(wrong) >= 0.99


def test_most_helps_name_the_right_mend(cases: list[Case]) -> None:
    sys.stdout.write(f"\n{table(cases)}\n")  # seen with `pytest -s`
    wrong = [c for c in cases if c.errors]
    assert sum(c.mended for c in wrong) / len(wrong) >= 0.90


def test_what_gives_no_error_is_a_program_still(cases: list[Case]) -> None:
    """Some mistakes leave a program, such as a dropped `not`: those are accepted whole, with warnings at most."""
    accepted = [c for c in cases if not c.errors]
    assert len(accepted) < len(cases) / 10
    for case in accepted:
        assert case.mutation.text != (ROOT / case.file).read_text(encoding="utf-8")
        assert {d.severity for d in case.diagnostics} <= {"warning"}


def test_the_rule_for_mends_is_strict() -> None:
    """A help line that lists what there is, or names something else, does not count."""
    misspelt = next(m for m in mutations("node n { takes A  gives B }") if m.kind == "keyword misspelt")
    assert misspelt.original == "node"
    assert names_the_mend(misspelt, "unexpected", "did you mean `node`?")
    assert not names_the_mend(misspelt, "unexpected", "expected `graph`, `list`, `node` or `struct`")
    assert not names_the_mend(misspelt, "unexpected", "did you mean `nodes`?")
    assert not names_the_mend(misspelt, "`node` is missing here", "")
