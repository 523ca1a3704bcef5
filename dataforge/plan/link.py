"""Domain → linked graph: every walk from the source to the target, as one DAG over states of knowledge.

From what the source guarantees, exploration goes forward: in a state, every action whose requirement the state entails
leads to the state after it. States are projected to the facts that something still to come may need, so that states
with the same future are one. Then all that cannot reach the target is cut, and what is left must have no cycle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dataforge.domain import actions as a
from dataforge.domain.conditions import MAX_ALTERNATIVES, Terms
from dataforge.domain.structs import StructType
from dataforge.lang.diagnostics import Report, listing
from dataforge.plan.facts import Effect, Facts, Knowledge, Requirement, bits_of, common, hashable
from dataforge.plan.linked import SOURCE, TARGET, Explored, Linked, Step

MAX_STATES = 200_000


def link(
    graph: a.Graph,
    terms: Terms,
    structs: Mapping[str, StructType],
    report: Report,
    done: dict[a.Graph, Linked | None] | None = None,
) -> Linked | None:
    """Link a graph and the graphs inside it, each once; None after reports, of every graph that does not link."""
    done = {} if done is None else done
    if graph in done:
        return done[graph]
    inner: dict[str, Linked] = {}
    failed = False
    for name, member in graph.members.items():
        if isinstance(member, a.Graph):
            found = link(member, terms, structs, report, done)
            if found is None or not _check_single(graph, name, found, report):
                failed = True
            else:
                inner[name] = found
    done[graph] = None if failed else _Linker(Facts(graph, terms, structs), report, inner).link()
    return done[graph]


def explore(
    graph: a.Graph, terms: Terms, structs: Mapping[str, StructType], report: Report
) -> Explored | None:
    """Every state that a graph's walks come to, cut or not, whether it links or not; None after reports."""
    linker = _Linker(Facts(graph, terms, structs), report, {})
    return linker.explored() if linker.explore() else None


def _check_single(graph: a.Graph, name: str, inner: Linked, report: Report) -> bool:
    """A graph that is used as a node gives one result a row, so nothing on its walks may fan out."""
    good = True
    used = {step.action for steps in inner.steps for step in steps}
    for action in used:
        member = inner.actions[action].member
        if isinstance(member, a.Node) and member.many is not None:
            good = False
            report.error(
                "F064",
                f"`{member.name}` gives many, and `{graph.name}` uses `{name}` as a node, which gives one",
                member.source,
                member.spans.get("gives", member.span),
                "drop `many`, or put the node into the outer graph",
            )
    return good


@dataclass(slots=True)
class _Phase:
    """The actions that may still run, and the literals that they and the target may need."""

    future: int
    true: int
    false: int
    next: dict[tuple[bytes, bytes], int] = field(default_factory=dict)


@dataclass(slots=True)
class _Class:
    """Actions with one requirement."""

    requirement: Requirement
    actions: list[int] = field(default_factory=list)


class _Linker:
    def __init__(self, facts: Facts, report: Report, inner: Mapping[str, Linked]) -> None:
        self.facts = facts
        self.graph = facts.graph
        self.report = report
        self.inner = inner
        self.actions = tuple(facts.actions)
        self.knowledge: list[tuple[Knowledge, ...]] = []
        self.phase_of: list[int] = []
        self.depth_of: list[int] = []
        self.numbers: dict[tuple[object, ...], int] = {}
        self.steps: list[list[Step]] = []
        self.goals: set[int] = set()
        self.impossible: set[int] = set()
        self.phases: list[_Phase] = []
        self.phase_numbers: dict[bytes, int] = {}
        self._index_actions()
        self._first_phase()

    def link(self) -> Linked | None:
        if not self.explore():
            return None
        reaching = self._reaching()
        if 0 not in reaching:
            self._report_unreachable()
            return None
        if not self._prune(reaching):
            return None
        order = self._order()
        if order is None:
            return None
        linked = Linked(
            self.graph,
            self.facts,
            self.actions,
            tuple(self.knowledge),
            tuple(tuple(steps) for steps in self.steps),
            frozenset(self.goals),
            tuple(order),
            self._cut(),
            self.inner,
        )
        return linked if self._check_target(linked) else None

    def explored(self) -> Explored:
        return Explored(
            self.graph,
            self.facts,
            self.actions,
            tuple(self.knowledge),
            tuple(tuple(steps) for steps in self.steps),
            frozenset(self.goals),
            frozenset(self._reaching()),
            frozenset(self.impossible),
            tuple(self.depth_of),
        )

    # ---- which actions a state allows

    def _index_actions(self) -> None:
        """Group actions by requirement, and file each group under the one literal that is hardest to have."""
        classes: dict[tuple[object, ...], _Class] = {}
        for number, action in enumerate(self.actions):
            classes.setdefault(action.requirement.key, _Class(action.requirement)).actions.append(number)
        groups = list(classes.values())
        first_true, first_false = common(self.facts.initial)
        count_true: dict[int, int] = {}
        count_false: dict[int, int] = {}
        for group in groups:
            for bit in bits_of(group.requirement.true):
                count_true[bit] = count_true.get(bit, 0) + 1
            for bit in bits_of(group.requirement.false):
                count_false[bit] = count_false.get(bit, 0) + 1
        self.watch_true: dict[int, list[_Class]] = {}
        self.watch_false: dict[int, list[_Class]] = {}
        self.watch_always: list[_Class] = []
        for group in groups:
            options = [
                (bool(first_true >> bit & 1), count_true[bit], 0, bit)
                for bit in bits_of(group.requirement.true)
            ] + [
                (bool(first_false >> bit & 1), count_false[bit], 1, bit)
                for bit in bits_of(group.requirement.false)
            ]
            if not options:
                self.watch_always.append(group)
                continue
            _, _, sign, bit = min(options)
            (self.watch_false if sign else self.watch_true).setdefault(bit, []).append(group)
        self.watched_true = sum(1 << bit for bit in self.watch_true)
        self.watched_false = sum(1 << bit for bit in self.watch_false)
        self.effects: list[Effect] = []
        numbers: dict[tuple[object, ...], int] = {}
        self.effect_of: list[int] = []
        for action in self.actions:
            number = numbers.setdefault(action.effect.key, len(numbers))
            if number == len(self.effects):
                self.effects.append(action.effect)
            self.effect_of.append(number)

    def _allowed(self, alternatives: tuple[Knowledge, ...]) -> list[int]:
        true, false = common(alternatives)
        found: list[int] = []
        for bit in bits_of(true & self.watched_true):
            for group in self.watch_true[bit]:
                if group.requirement.satisfied(alternatives):
                    found.extend(group.actions)
        for bit in bits_of(false & self.watched_false):
            for group in self.watch_false[bit]:
                if group.requirement.satisfied(alternatives):
                    found.extend(group.actions)
        for group in self.watch_always:
            if group.requirement.satisfied(alternatives):
                found.extend(group.actions)
        found.sort()
        return found

    # ---- phases: what may still be needed

    def _first_phase(self) -> None:
        self.givers: dict[int, int] = {}
        self.updaters: dict[int, int] = {}
        self.needers: dict[tuple[int, bool], int] = {}
        self.mentioned: list[Knowledge] = []
        collected: dict[tuple[int, bool], list[int]] = {}
        for number, action in enumerate(self.actions):
            bit = 1 << number
            for struct in bits_of(action.fresh):
                self.givers[struct] = self.givers.get(struct, 0) | bit
            for struct in bits_of(action.updated):
                self.updaters[struct] = self.updaters.get(struct, 0) | bit
            mentioned = action.requirement.mentioned
            self.mentioned.append(mentioned)
            for sign, mask in ((True, mentioned[0]), (False, mentioned[1])):
                for literal in bits_of(mask):
                    collected.setdefault((literal, sign), []).append(number)
        for key, numbers in collected.items():
            self.needers[key] = _mask(numbers)
        base_true, base_false = self.facts.goal.mentioned
        for _, need in self.facts.emit_requirements():
            t, f = need.mentioned
            base_true |= t
            base_false |= f
        self.base: Knowledge = (base_true, base_false)
        true, false = base_true, base_false
        for t, f in self.mentioned:
            true |= t
            false |= f
        self._phase((1 << len(self.actions)) - 1, true, false)

    def _phase(self, future: int, true: int, false: int) -> int:
        number = self.phase_numbers.setdefault(hashable(future), len(self.phases))
        if number == len(self.phases):
            self.phases.append(_Phase(future, true, false))
        return number

    def _after(self, number: int, effect: Effect) -> int:
        """The phase after an effect: what gives a struct that is there, or changes one in use, will not run again."""
        phase = self.phases[number]
        key = (hashable(effect.given), hashable(effect.derived))
        found = phase.next.get(key)
        if found is not None:
            return found
        gone = 0
        for struct in bits_of(effect.given):
            gone |= self.givers.get(struct, 0)
        for struct in bits_of(effect.derived):
            gone |= self.updaters.get(struct, 0)
        gone &= phase.future
        if not gone:
            found = number
        else:
            future = phase.future & ~gone
            true, false = phase.true, phase.false
            maybe_true = maybe_false = 0
            for action in bits_of(gone):
                maybe_true |= self.mentioned[action][0]
                maybe_false |= self.mentioned[action][1]
            for bit in bits_of(maybe_true & true & ~self.base[0]):
                if not self.needers[bit, True] & future:
                    true &= ~(1 << bit)
            for bit in bits_of(maybe_false & false & ~self.base[1]):
                if not self.needers[bit, False] & future:
                    false &= ~(1 << bit)
            found = self._phase(future, true, false)
        phase.next[key] = found
        return found

    # ---- forward

    def _state(self, alternatives: Sequence[Knowledge], phase: int, depth: int) -> int:
        keep = self.phases[phase]
        projected = [(true & keep.true, false & keep.false) for true, false in alternatives]
        if len(projected) > 1:
            distinct = sorted(set(projected))
            # What a weaker alternative does not know, a stronger one cannot add: only the weakest count.
            projected = [
                x
                for x in distinct
                if not any(y != x and not (y[0] & ~x[0] or y[1] & ~x[1]) for y in distinct)
            ]
        key = (tuple((hashable(true), hashable(false)) for true, false in projected), phase, depth)
        number = self.numbers.setdefault(key, len(self.knowledge))
        if number == len(self.knowledge):
            self.knowledge.append(tuple(projected))
            self.phase_of.append(phase)
            self.depth_of.append(depth)
            self.steps.append([])
        return number

    def explore(self) -> bool:
        """Find every state; False after a report."""
        low, high = self.graph.steps if self.graph.steps is not None else (0, None)
        deepest = None if self.graph.steps is None else (high if high is not None else low)
        self._state(self.facts.initial, 0, 0)
        state = 0
        while state < len(self.knowledge):
            alternatives, depth = self.knowledge[state], self.depth_of[state]
            if self.facts.goal.satisfied(alternatives) and depth >= low:
                self.goals.add(state)
            if high is None or depth < high:
                next_depth = 0 if deepest is None else min(depth + 1, max(deepest, low))
                after_effect: dict[int, tuple[int | None, ...]] = {}
                for number in self._allowed(alternatives):
                    effect_number = self.effect_of[number]
                    after = after_effect.get(effect_number)
                    if after is None:
                        after = self._progress(state, self.effects[effect_number], next_depth, number)
                        if after is None:
                            return False
                        after_effect[effect_number] = after
                    if any(x is not None for x in after):
                        self.steps[state].append(Step(number, after))
                    else:
                        self.impossible.add(number)
            if len(self.knowledge) > MAX_STATES:
                self._report_explosion()
                return False
            state += 1
        if not self.facts.initial:
            self.report.error(
                "F031", "the source's condition can never hold", self.graph.source, self.graph.spans["from"]
            )
            return False
        return True

    def _progress(self, state: int, effect: Effect, depth: int, number: int) -> tuple[int | None, ...] | None:
        """The states after each outcome (None: one that cannot be, for what is kept excludes it); None after a report."""
        phase = self._after(self.phase_of[state], effect)
        after: list[int | None] = []
        for alternatives in progress(self.knowledge[state], effect):
            if not alternatives:
                after.append(None)
                continue
            found = self._state(alternatives, phase, depth)
            if len(self.knowledge[found]) > MAX_ALTERNATIVES:
                member = self.actions[number].member
                self.report.error(
                    "F030",
                    f"after `{self.actions[number].name}` more than {MAX_ALTERNATIVES} alternatives are possible",
                    member.source,
                    member.spans.get("post", member.span),
                    "promise something definite instead of `or`",
                )
                return None
            after.append(found)
        return tuple(after)

    # ---- backward

    def _reaching(self) -> set[int]:
        before: dict[int, list[int]] = {}
        for state, steps in enumerate(self.steps):
            for step in steps:
                for after in step.after:
                    if after is not None:
                        before.setdefault(after, []).append(state)
        reaching = set(self.goals)
        frontier = list(self.goals)
        while frontier:
            for state in before.get(frontier.pop(), ()):
                if state not in reaching:
                    reaching.add(state)
                    frontier.append(state)
        return reaching

    def _prune(self, reaching: set[int]) -> bool:
        """Keep what is on a walk from source to target; an outcome that is not is an error, unless it may be rejected."""
        good = True
        complained: set[tuple[int, int]] = set()
        kept: list[list[Step]] = [[] for _ in self.steps]
        seen = {0}
        frontier = [0]
        while frontier:
            state = frontier.pop()
            for step in self.steps[state]:
                alive = [x if x in reaching else None for x in step.after]
                if not any(x is not None for x in alive):
                    continue
                member = self.actions[step.action].member
                branch = member.branch if isinstance(member, a.Node) else None
                for outcome, after in enumerate(alive):
                    possible = step.after[outcome] is not None
                    if possible and after is None and not (branch is not None and branch.else_reject):
                        good = False
                        if (step.action, outcome) not in complained:
                            complained.add((step.action, outcome))
                            self._report_outcome(step, outcome)
                kept[state].append(Step(step.action, tuple(alive)))
                for after in alive:
                    if after is not None and after not in seen:
                        seen.add(after)
                        frontier.append(after)
        self.all_steps = self.steps
        self.steps = kept
        self.goals &= seen
        self.alive = seen
        return good

    def _order(self) -> list[int] | None:
        """States in an order that every step follows, or None after reporting a cycle."""
        white, grey, black = 0, 1, 2
        colour = [white] * len(self.steps)
        order: list[int] = []
        stack: list[tuple[int, Iterator[tuple[int, int]]]] = [(0, self._next(0))]
        colour[0] = grey
        trail: list[int] = []
        while stack:
            state, following = stack[-1]
            for action, after in following:
                if colour[after] == grey:
                    self._report_cycle([s for s, _ in stack], trail, action, after)
                    return None
                if colour[after] == white:
                    colour[after] = grey
                    trail.append(action)
                    stack.append((after, self._next(after)))
                    break
            else:
                colour[state] = black
                order.append(state)
                stack.pop()
                if trail:
                    trail.pop()
        order.reverse()
        return order

    def _next(self, state: int) -> Iterator[tuple[int, int]]:
        for step in self.steps[state]:
            for after in step.after:
                if after is not None:
                    yield step.action, after

    # ---- what went wrong, for people

    def _report_cycle(self, states: list[int], trail: list[int], action: int, back_to: int) -> None:
        start = states.index(back_to)
        names = [self.actions[n].name for n in (*trail[start:], action)]
        shown = " → ".join([*names, names[0]])
        member = self.actions[action].member
        structs = sorted(set(member.gives if isinstance(member, a.Node) else member.targets))
        self.report.error(
            "F062",
            f"these nodes can follow one another for ever: {shown}",
            member.source,
            member.span,
            f"make their conditions exclude it: let one require of {listing(structs)} what another's `post` rules out, "
            "such as a `kind` that each of them changes",
        )

    def _report_outcome(self, step: Step, outcome: int) -> None:
        member = self.actions[step.action].member
        assert isinstance(member, a.Node)
        assert member.branch is not None
        value = self.actions[step.action].labels[outcome]
        self.report.error(
            "F063",
            f"where `{member.branch.term.text}` turns out to be {value!r}, nothing leads on to the target".replace(
                "'", '"'
            ),
            member.source,
            member.branch.span,
            f"add a node that takes that outcome, or write `branch {member.branch.term.text} else reject`",
        )

    def _report_explosion(self) -> None:
        self.report.error(
            "F066",
            f"`{self.graph.name}` has more than {MAX_STATES:,} states",
            self.graph.source,
            self.graph.span,
            "nodes that can run in any order multiply: require an order, or put groups of them into graphs of their own",
        )

    def _report_unreachable(self) -> None:
        from dataforge.plan.why import why_no_target

        message, help = why_no_target(self.facts, self.knowledge)
        self.report.error("F061", message, self.graph.source, self.graph.spans["to"], help)

    def _cut(self) -> dict[str, str]:
        from dataforge.plan.why import COMPARISONS, ever_known, why_cut

        used = {step.action for state in self.alive for step in self.steps[state]}
        tried = {step.action for steps in self.all_steps for step in steps}
        known = [common(alternatives) for alternatives in self.knowledge]
        ever = ever_known(known)
        some = known[: max(20, COMPARISONS // max(1, len(self.actions) - len(used)))]
        cut: dict[str, str] = {}
        for number, action in enumerate(self.actions):
            if number in used:
                continue
            reason = why_cut(self.facts, action, some, ever, number in tried, number in self.impossible)
            cut[action.name] = reason
            self.report.warning(
                "F081",
                f"no walk of `{self.graph.name}` uses `{action.name}`: {reason}",
                action.member.source,
                action.member.span,
                "leave it out with `except`, or change a contract",
            )
        return cut

    def _check_target(self, linked: Linked) -> bool:
        """What the graph emits must be there at the end of every walk."""
        good = True
        for need, requirement in self.facts.emit_requirements():
            for state in sorted(self.goals):
                if requirement.satisfied(self.knowledge[state]):
                    continue
                term = next(iter(need))
                way = _way_to(linked, state)
                assert self.graph.emit is not None
                span = next(
                    (
                        u.span
                        for t in self.graph.emit.turns
                        for u in t.text.uses
                        if u.struct == term.structs[0]
                    ),
                    self.graph.emit.span,
                )
                self.report.error(
                    "F067",
                    f"`emit` shows `{term.text}`, and nothing guarantees it at the end of {' → '.join([SOURCE, *way, TARGET])}",
                    self.graph.source,
                    span,
                    f"write `to {', '.join(sorted({*self.graph.targets, term.structs[0]}))}`, or emit something else",
                )
                good = False
                break
        if 0 in self.goals:
            self.report.warning(
                "F068",
                f"the source already satisfies the target of `{self.graph.name}`, so a walk may be empty",
                self.graph.source,
                self.graph.spans["to"],
                "write `steps 1..` to have at least one node in each",
            )
        return good


def progress(known: Sequence[Knowledge], effect: Effect) -> list[list[Knowledge]]:
    """For each outcome the alternatives after it; none, where what is kept excludes the outcome."""
    presence = derived = 0
    for struct in bits_of(effect.derived):
        derived |= 2 << (2 * struct)
    for struct in bits_of(effect.given):
        presence |= 1 << (2 * struct)
    kept = [
        (true & ~effect.forget | derived, false & ~effect.forget & ~presence & ~derived)
        for true, false in known
    ]
    return [
        [
            (true | gain_true, false | gain_false)
            for true, false in kept
            for gain_true, gain_false in gains
            if not (true & gain_false or false & gain_true)
        ]
        for gains in effect.outcomes
    ]


def _way_to(linked: Linked, goal: int) -> list[str]:
    """A walk to a state, by names."""
    came: dict[int, tuple[int, str]] = {}
    for state in linked.order:
        if state == goal:
            break
        for step in linked.steps[state]:
            for after in step.after:
                if after is not None and after not in came and after != linked.source:
                    came[after] = (state, linked.actions[step.action].name)
    way: list[str] = []
    while goal in came:
        goal, name = came[goal]
        way.append(name)
    return way[::-1]


def _mask(numbers: Sequence[int]) -> int:
    """The integer with these bits set, in linear time."""
    buffer = bytearray((max(numbers) >> 3) + 1)
    for n in numbers:
        buffer[n >> 3] |= 1 << (n & 7)
    return int.from_bytes(buffer, "little")
