"""Property-based tests of a node's contract, with no model: the laws that every node must keep.

- *satisfiable*: some state satisfies `pre`, and some outcome `post`.
- *promises something*: `post` (or a `set`) says more than the types do; a warning where it does not.
- *can succeed*: models that answer as well as can be lead to an outcome that satisfies `post`.
- *survives*: whatever models say, on any state that satisfies `pre`, the node satisfies `post` or rejects the row with a
  reason; what it does not give, and what it keeps, stays as it was; its prompts can always be written.
- *calls*: a `call` function, run for real, returns what satisfies `post` (or raises `Reject`), the same for the same state,
  and changes nothing of what it was given.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from dataforge.domain import actions as a
from dataforge.domain.conditions import (
    All,
    Atom,
    Expr,
    Matches,
    TooManyAlternatives,
    broken,
    clauses,
    terms_of,
    type_values,
)
from dataforge.domain.measures import simple_tokens
from dataforge.domain.structs import StructType
from dataforge.domain.values import within
from dataforge.errors import FunctionFailed, Reject
from dataforge.testing.adversaries import ADVERSARIES
from dataforge.testing.findings import Finding, dumped
from dataforge.testing.harness import Agreeing, Answer, Bench, Outcome, cooperative
from dataforge.testing.strategies import NothingSatisfies, State, states_of

DEFAULT_EXAMPLES = 100
BATCH = 10
MOST_BATCHES = 10_000
MAX_ANSWERS = 6


_SETTINGS = settings(
    max_examples=BATCH,
    database=None,
    deadline=None,
    print_blob=False,
    report_multiple_bugs=False,
    # Functions of users may be slow, and huge answers are meant.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    phases=[Phase.generate, Phase.shrink],
    verbosity=hypothesis.Verbosity.quiet,
)


class LawBroken(AssertionError):
    """An example breaks a law; Hypothesis makes it smaller."""


@dataclass
class _Case:
    """The last example tried; after shrinking, the smallest that breaks the law."""

    state: Mapping[str, Any] | None = None
    said: tuple[tuple[str, str], ...] = ()
    tried: int = 0
    broken: str = ""


class NodeTest:
    """The laws of one node.

    Args:
        node: the node.
        structs: every struct of the program, by canonical name.
        seed: what the examples are drawn by.
        examples: how many of them a law.
    """

    def __init__(
        self, node: a.Node, structs: Mapping[str, StructType], *, seed: int, examples: int = DEFAULT_EXAMPLES
    ) -> None:
        self.node = node
        self.seed = seed
        self.examples = examples
        named = {n for expr in (node.pre, node.post) for term in terms_of(expr) for n in term.structs}
        self.structs = {n: structs[n] for n in sorted({*node.takes, *node.gives, *named})}

    def findings(self) -> Iterator[Finding]:
        """Check every law that applies."""
        before = self._strategy("pre", self.node.pre, tuple(self.node.takes))
        after = self._strategy("post", self.node.post, tuple({**self.node.takes, **self.node.gives}))
        for found in (before, after):
            if isinstance(found, Finding):
                yield found
        yield from self._promises()
        if isinstance(before, Finding) or isinstance(after, Finding):
            return
        yield self._finding("satisfiable")
        joint = self._joint(before, after)
        with Bench() as bench:
            calls = [step for step in self.node.steps if isinstance(step, a.Call)]
            asks = [step for step in self.node.steps if isinstance(step, a.Ask | a.Judge)]
            for call in calls:
                yield self._calls(call, bench, before, alone=not asks)
            if not calls or asks:
                yield self._can_succeed(bench, joint)
            if asks or not calls:
                yield self._survives(bench, joint)

    # ---- what is drawn

    def _strategy(self, word: str, condition: Expr, present: tuple[str, ...]) -> Any:
        """States for a condition, or the finding that there are none."""
        try:
            return states_of(self.structs, condition, present)
        except NothingSatisfies as error:
            return self._finding("satisfiable", f"`{word}`: {error.message}; {error.help}", word)
        except FunctionFailed as error:
            return self._finding("satisfiable", f"`{word}`: {error.message}", word)

    def _joint(self, before: Any, after: Any) -> Any:
        """Pairs of a state before and a wanted state after, related as `post` relates them where that can be."""
        node = self.node
        fresh = not set(node.gives) & set(node.takes)
        if fresh:
            try:
                both = states_of(
                    self.structs, All((node.pre, node.post)), tuple({**node.takes, **node.gives})
                )
            except (NothingSatisfies, FunctionFailed):
                pass
            else:
                return both.map(lambda s: ({n: v for n, v in s.items() if n not in node.gives}, s))
        return st.tuples(before.map(self._without_gifts), after)

    def _without_gifts(self, state: State) -> State:
        """A state as the node finds it: what it gives and does not take is not there yet."""
        return {n: v for n, v in state.items() if n in self.node.takes or n not in self.node.gives}

    # ---- the laws

    def _promises(self) -> Iterator[Finding]:
        node = self.node
        fixed = any(isinstance(step, a.Assign) for step in node.steps)
        said = list(node.post.items) if isinstance(node.post, All) else [node.post]
        empty = [condition for condition in said if _always_true(condition)]
        if len(empty) == len(said) and not fixed:
            what = "has no `post` that says more than its types do" if said else "has no `post`"
            yield self._finding(
                "promises something", f"it {what}, so it guarantees nothing", "post", warning=True
            )
            return
        for condition in empty:
            yield self._finding(
                "promises something",
                f"`{condition}` always holds, so it promises nothing",
                "post",
                warning=True,
            )

    def _can_succeed(self, bench: Bench, joint: Any) -> Finding:
        last: list[Outcome] = []
        accepted: list[int] = []

        def law(pair: tuple[State, State], case: _Case) -> None:
            before, after = pair
            outcome = bench.run(self.node, self.node.name, before, cooperative(self.node, after), Agreeing())
            case.state, case.said = dumped(before), tuple(outcome.said)
            if outcome.error is not None:
                raise LawBroken(_said_of(outcome.error))
            if outcome.rejected is None:
                accepted.append(1)
            else:
                last.append(outcome)

        finding = self._law("can succeed", joint, law, max(10, self.examples // 3))
        if finding.verdict == "passed" and not accepted:
            rejected = last[-1].rejected
            assert rejected is not None
            return self._finding(
                "can succeed",
                warning=self._is_related(),
                part="post",
                message=f"no outcome was accepted, however well the models answered; the last was rejected: {rejected.code}: "
                f"{rejected.message}",
            )
        return finding

    def _is_related(self) -> bool:
        """Whether an outcome depends on the state before in ways that the wanted outcome is drawn without."""
        node = self.node
        terms = terms_of(node.post)
        kept = {(t.structs[0], t.path[0]) for t in terms if t.path} & set(node.keeps)
        computed = any(isinstance(step, a.Assign) and step.term is not None for step in node.steps)
        related = any(t.opaque is not None and not isinstance(t.relation, Matches) for t in terms)
        return bool(kept) or computed or (related and bool(set(node.gives) & set(node.takes)))

    def _survives(self, bench: Bench, joint: Any) -> Finding:
        answers = st.lists(st.integers(0, len(ADVERSARIES) + 1), min_size=1, max_size=MAX_ANSWERS)

        def law(drawn: tuple[tuple[State, State], list[int]], case: _Case) -> None:
            (before, after), numbers = drawn
            kept = {name: instance.model_copy(deep=True) for name, instance in before.items()}
            outcome = bench.run(
                self.node, self.node.name, before, _worst(self.node, after, numbers), Agreeing()
            )
            case.state, case.said = dumped(kept), tuple(outcome.said)
            self._check_outcome(kept, before, outcome)

        return self._law("survives", st.tuples(joint, answers), law, self.examples)

    def _check_outcome(self, before: State, used: State, outcome: Outcome) -> None:
        if outcome.error is not None:
            raise LawBroken(_said_of(outcome.error))
        if dumped(used) != dumped(before):
            raise LawBroken("it changed the state that it was given, which other rows may share")
        if outcome.rejected is not None:
            if (
                outcome.rejected.code == "R105" and not outcome.said
            ):  # else an answer may be what it cannot show
                raise LawBroken(f"a prompt cannot be written: {outcome.rejected.message}")
            if not outcome.rejected.code or not outcome.rejected.message:
                raise LawBroken("it rejects the row and gives no reason")
            return
        for after in outcome.states:
            self._check_after(before, after)

    def _check_after(self, before: State, after: State) -> None:
        node = self.node
        failing = broken(node.post, after, simple_tokens)
        if failing:
            raise LawBroken(f"it accepted an outcome that breaks `post`: {'; '.join(failing)}")
        for name in node.gives:
            if name not in after:
                raise LawBroken(f"it gives `{name}`, and the outcome has none")
        for name, instance in before.items():
            if name not in node.gives and after.get(name) != instance:
                raise LawBroken(f"it changed `{name}`, which it does not give")
        for struct, field in node.keeps:
            if getattr(after[struct], field) != getattr(before[struct], field):
                raise LawBroken(f"it changed `{struct}.{field}`, which it keeps")

    def _calls(self, call: a.Call, bench: Bench, before: Any, *, alone: bool) -> Finding:
        node = self.node
        rejections: list[str] = []
        finished: list[int] = []

        def law(state: State, case: _Case) -> None:
            state = self._without_gifts(state)
            kept = copy.deepcopy(state)
            case.state = dumped(kept)
            first, second = _call(call, copy.deepcopy(state)), _call(call, copy.deepcopy(state))
            if first != second:
                raise LawBroken(f"`{call.target}` returned two things for one state: {first} and {second}")
            if not alone:
                return
            outcome = bench.run(node, node.name, state, _silent)
            if dumped(state) != case.state:
                changed = [n for n in kept if dumped({n: state[n]}) != dumped({n: kept[n]})]
                raise LawBroken(f"`{call.target}` changed what it was given: {', '.join(changed)}")
            if outcome.rejected is not None and outcome.rejected.code == "R104":
                rejections.append(outcome.rejected.message)
                return
            finished.append(1)
            if outcome.rejected is not None:
                raise LawBroken(f"`{call.target}` breaks the contract: {outcome.rejected.message}")
            self._check_outcome(kept, state, outcome)

        finding = self._law("calls", before, law, self.examples)
        if finding.verdict == "passed" and rejections and not finished:
            return self._finding(
                "calls", f"`{call.target}` rejected every state: {rejections[-1]}", "gives", warning=True
            )
        return finding

    # ---- running a law

    def _law(self, check: str, strategy: Any, law: Callable[[Any, _Case], None], examples: int) -> Finding:
        case = _Case()

        def check_law(drawn: Any) -> None:
            case.tried += 1
            try:
                law(drawn, case)
            except LawBroken as found:
                case.broken = str(found)
                raise

        try:
            # In batches: within one, Hypothesis goes on from what it drew before, and 100 examples from one seed were
            # seen to use 8 of 13 sample texts where ten batches of 10 used all of them.
            for batch in range(math.ceil(examples / BATCH)):
                size = min(BATCH, examples - batch * BATCH)
                run = settings(_SETTINGS, max_examples=size)(given(strategy)(check_law))  # type: ignore[no-untyped-call]
                hypothesis.seed(self.seed * MOST_BATCHES + batch)(run)()
        except (LawBroken, FunctionFailed, hypothesis.errors.Flaky) as error:
            message = error.message if isinstance(error, FunctionFailed) else str(error)
            if isinstance(error, hypothesis.errors.Flaky):
                message = f"it does not do the same twice for one state, so something in it keeps a state of its own: {case.broken}"
            return Finding(
                self.node.name,
                check,
                "failed",
                message,
                case.state,
                case.said,
                self.seed,
                self.node.source,
                self.node.spans.get("post", self.node.span) if check != "survives" else self.node.span,
                case.tried,
            )
        return self._finding(check, examples=case.tried)

    def _finding(
        self, check: str, message: str = "", part: str = "", *, warning: bool = False, examples: int = 0
    ) -> Finding:
        verdict = "passed" if not message else "warning" if warning else "failed"
        span = self.node.spans.get(part, self.node.span)
        return Finding(
            self.node.name,
            check,
            verdict,  # type: ignore[arg-type]
            message,
            source=self.node.source,
            span=span,
            examples=examples,
        )


def _always_true(condition: Expr) -> bool:
    """Whether the types alone make a condition true, given that its structs are there."""
    if isinstance(condition, Atom) and condition.term.is_struct:
        return False
    try:
        found = clauses(condition)
    except TooManyAlternatives:
        return False
    return all(any(within(type_values(term), values) for term, values in clause.items()) for clause in found)


def _worst(node: a.Node, after: State, numbers: list[int]) -> Answer:
    """Models that answer by a list of adversaries, one after another; 0 is a good answer, 1 one with low marks."""
    friends = (cooperative(node, after), cooperative(node, after, low_marks=True))
    count = 0

    def answer(model: a.Model, request: Any, purpose: Any) -> Any:
        nonlocal count
        number = numbers[count % len(numbers)]
        count += 1
        if number < len(friends):
            return friends[number](model, request, purpose)
        return ADVERSARIES[number - len(friends)].reply(request)

    return answer


def _silent(model: a.Model, request: Any, purpose: Any) -> Any:
    raise LawBroken(f"it asked the model `{model.name}`")


def _call(call: a.Call, state: State) -> Any:
    """What the function returns, or how it ends, in a form that can be compared."""
    try:
        found = call.function(**{parameter: state[struct] for parameter, struct in call.parameters.items()})
    except Reject as rejected:
        return ("rejected", rejected.reason)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's function; the node's run says what is wrong
        return ("raised", type(error).__name__)
    try:
        return _comparable(found)
    except RecursionError:
        return ("returned", "something that contains itself")


def _comparable(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", warnings=False)
    if isinstance(value, list | tuple):
        return [_comparable(item) for item in value]
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items()}
    if isinstance(value, float) and value != value:
        return ("not a number",)
    # What is no data is compared by its kind: that it is the wrong kind is for the node's run to say.
    return value if isinstance(value, str | int | float | None) else type(value).__name__


def _said_of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
