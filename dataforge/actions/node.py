"""Run one node on one row: its steps in order, its contract checked on the real values, its retries and rounds.

Two loops share one shape. Where the outcome breaks the contract, the attempt and the reason go back to the generator,
`retry` times. Where a judge does not accept, the verdict goes back, `rounds` times. Either way the node starts again;
steps before the one that must do better find their replies in the journal and cost nothing. A judge is asked only of work
that breaks nothing of the contract that can be told without it. A node that verifies has neither loop: it draws samples,
see `rollouts`.
"""

from __future__ import annotations

from typing import Any

from dataforge.actions import judge
from dataforge.actions.attempt import finished, perform, states
from dataforge.actions.context import Broken, Draft, Feedback, Rejected, RowContext
from dataforge.actions.rollouts import sampled
from dataforge.actions.settled import broken_already
from dataforge.domain import actions as a
from dataforge.domain.conditions import broken
from dataforge.errors import ContractBug


async def run_node(node: a.Node, name: str, context: RowContext) -> list[RowContext]:
    """Run a node; one context, or several where it gives many.

    Args:
        node: the node.
        name: its qualified name, for records.
        context: the row, whose state satisfies the node's precondition.

    Raises:
        Rejected: where the row cannot go on.
        ContractBug: where the precondition does not hold.
        ModelError, StorageError: where asking a model failed.
    """
    failing = broken(node.pre, context.state, context.tokens)
    missing = [struct for struct in node.takes if struct not in context.state]
    if failing or missing:
        raise ContractBug(
            f"`{name}` was linked where its precondition does not hold: {'; '.join([*failing, *missing])}",
            help="this is a bug of DataForge: please report it with the plan",
        )
    if node.rollouts is not None:
        return await sampled(node, node.rollouts, name, context)
    attempts: dict[int, int] = {}
    feedback: dict[int, Feedback] = {}
    retries = 0
    rounds: dict[int, int] = {}
    while True:
        draft = Draft(node, name, context, dict(attempts), dict(feedback))
        refused: tuple[int, a.Judge, Any] | None = None
        try:
            for number, step in enumerate(node.steps):
                draft.step = number
                if isinstance(step, a.Judge):
                    if failing := broken_already(draft):
                        raise Broken("R101", *failing)
                    verdict = await judge.perform(step, draft, rounds.get(number, 0))
                    if not verdict.accepted:
                        refused = (number, step, verdict)
                        break
                else:
                    assert not isinstance(step, a.Verify)
                    await perform(step, draft)
            if refused is None:
                return [finished(draft, state) for state in states(draft)]
            code, reasons = "R107", judge.reasons(refused[2])
        except Broken as failure:
            code, reasons = failure.code, failure.reasons
        culprit = max(draft.asked, default=None)
        if refused is not None:
            number, step, _ = refused
            used = rounds.get(number, 0)
            again = culprit is not None and used < step.rounds
            rounds[number] = used + 1
        else:
            again = culprit is not None and retries < node.retry and code != "R105"
            retries += 1
        if not again or culprit is None:
            raise Rejected(name, code, "; ".join(reasons))
        attempts[culprit] = attempts.get(culprit, 0) + 1
        feedback[culprit] = Feedback(draft.asked[culprit].text, tuple(reasons))
