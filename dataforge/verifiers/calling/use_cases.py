"""Generated cases for `tool_use`: episodes that are solved by plan, and the same with exactly one thing wrong.

Positives come out of `Episode` itself, so every tool in them has really run; a few run programs in the sandbox. Mutants
change the transcript, or what the last reply says, and their note names what.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from dataforge.verifiers.calling import writing
from dataforge.verifiers.calling.changes import changed
from dataforge.verifiers.calling.episode import Episode
from dataforge.verifiers.calling.forms import BARE, FORMS, Form
from dataforge.verifiers.calling.use_tasks import Planned, Problem, draw
from dataforge.verifiers.protocol import Case, Response
from schemas.chat import Message
from schemas.task import Task

PROGRAMS = 0.04
"""The share of cases that may need the sandbox: a program costs more than all the other tools together."""

_THOUGHTS = (
    "Let me see.",
    "First the values, then the sum.\n\nGood.",
    "Answer: 1\nno, wait.",
    "Ich brauche ein Werkzeug.",
    "",
)
_LEADS = ("", "", "Let me look that up.", "I need the values first:", "Zuerst die Werte. 🔎")
_CLOSES = ("Done.\n", "That is it.\n", "It works out as follows.\n\n", "", "Here you are:\n")


@dataclass(slots=True)
class _Solved:
    problem: Problem
    response: Response

    @property
    def task(self) -> Task:
        return self.problem.task

    @property
    def turns(self) -> list[Message]:
        return list(self.response.turns)


def cases(rng: random.Random) -> Iterator[Case]:
    """An endless stream, about half of each."""
    while True:
        problem = draw(rng, programs=rng.random() < PROGRAMS)
        if rng.random() < 0.5:
            solved = _solve(problem, rng)
            yield Case(solved.task, solved.response, True, f"solved: {solved.task.topic}")
            continue
        mutation = rng.choice(_MUTATIONS)
        made = mutation(problem, rng)
        if made is not None:
            task, response, note = made
            yield Case(task, response, False, note)


def _solve(
    problem: Problem, rng: random.Random, plan: list[Planned | None] | None = None, final: str | None = None
) -> _Solved:
    """Follow a plan in an episode, in a form drawn."""
    form = rng.choice(FORMS)
    episode = Episode(problem.task)
    for at, planned in enumerate([*(plan if plan is not None else problem.plan), ...]):
        if planned is ...:
            said = _reply(problem.final if final is None else final, rng)
        elif planned is None:
            said = _reply(rng.choice(("It is done.", "Answer: done", "OK, what else?")), rng)
        else:
            said = _turn(planned, form, rng, at)
        episode.step(said)
    return _Solved(problem, episode.response())


def _reply(text: str, rng: random.Random) -> Message:
    if text.startswith("Answer: "):
        value = text.removeprefix("Answer: ")
        text = rng.choice(_CLOSES) + rng.choice(
            (f"Answer: {value}", f"**Answer:** {value}", f"Answer: **{value}**", f"answer: `{value}`.", f"Final answer: {value}", f"Answer:   {value}.\n")
        )  # fmt: skip
    return _thinking(Message(role="assistant", content=text), rng)


def _turn(planned: Planned, form: Form, rng: random.Random, at: int) -> Message:
    planned = list(planned)
    if form == "openai":
        calls = [
            writing.server_call(name, arguments, rng, id=f"call_{at}_{n}")
            for n, (name, arguments) in enumerate(planned)
        ]
        return _thinking(Message(role="assistant", content="", tool_calls=calls), rng)
    try:
        text = writing.text_of(planned, form, rng)
    except writing.CannotCarry:
        text = writing.text_of(planned, "hermes", rng)
    lead = rng.choice(_LEADS) if form not in BARE else ""
    return _thinking(Message(role="assistant", content=f"{lead}\n{text}" if lead else text), rng)


def _thinking(message: Message, rng: random.Random) -> Message:
    kind = rng.choice(("none", "none", "tags", "field"))
    thought = rng.choice(_THOUGHTS)
    if kind == "tags":
        return message.model_copy(update={"content": f"<think>\n{thought}\n</think>\n\n{message.content}"})
    return message.model_copy(update={"reasoning_content": thought}) if kind == "field" else message


# ---- mutants

Made = tuple[Task, Response, str] | None


def _with(response: Response, turns: list[Message]) -> Response:
    last = turns[-1]
    return replace(response, text=last.content, reasoning=last.reasoning_content, turns=tuple(turns))


def _tool_turns(turns: list[Message]) -> list[int]:
    return [at for at, turn in enumerate(turns) if turn.role == "tool"]


def _wrong_answer(problem: Problem, rng: random.Random) -> Made:
    right = problem.task.facts["answer"]
    if isinstance(right, str):
        wrong: Any = rng.choice(("08:59", "later", "", right + "0", right[:-1]))
    else:
        wrong = rng.choice(
            (
                right + 1,
                right * 2 + 3,
                -right - 1,
                f"{right} or {right + 1}",
                "unknown",
                f"about {right}",
                f"x{right}",
            )
        )
    solved = _solve(problem, rng, final=f"Answer: {wrong}")
    return solved.task, solved.response, "a wrong answer"


def _no_answer(problem: Problem, rng: random.Random) -> Made:
    value = problem.final.removeprefix("Answer: ")
    text = rng.choice(("All done.", value, f"The result is {value}.", f"I think the answer is {value}", "Answer:", f"<answer>{value}</answer>",
                       "I'm sorry, but I can't help with that.", problem.task.prompt))  # fmt: skip
    solved = _solve(problem, rng, final=text)
    return solved.task, solved.response, "no line with an answer"


def _two_answers(problem: Problem, rng: random.Random) -> Made:
    other = "10:01" if isinstance(problem.task.facts["answer"], str) else problem.task.facts["answer"] + 7
    lines = [problem.final, f"Answer: {other}"]
    rng.shuffle(lines)
    solved = _solve(problem, rng, final="\n".join(["So:", *lines]))
    return solved.task, solved.response, "two answers"


def _answer_in_thinking(problem: Problem, rng: random.Random) -> Made:
    solved = _solve(problem, rng)
    turns = solved.turns
    final = problem.final
    kind = rng.choice(("closed", "open", "field"))
    if kind == "field":
        turns[-1] = Message(role="assistant", content="Done.", reasoning_content=final)
    else:
        end = "</think>\nDone." if kind == "closed" else ""
        turns[-1] = Message(role="assistant", content=f"<think>\n{final}\n{end}")
    return solved.task, _with(solved.response, turns), "the answer in the thinking only"


def _forged_result(problem: Problem, rng: random.Random) -> Made:
    solved = _solve(problem, rng)
    turns = solved.turns
    places = _tool_turns(turns)
    at = rng.choice(places)
    value = json.loads(turns[at].content)
    kind = rng.choice(("value", "error", "text", "empty", "wrapped"))
    content = {
        "value": json.dumps({"result": changed(value.get("result", "x"), rng)}, ensure_ascii=False)
        if value.get("result") not in ({}, [])
        else json.dumps({"result": ["forged"]}),
        "error": json.dumps({"error": "the tool is down"}),
        "text": turns[at].content + " ok",
        "empty": "",
        "wrapped": json.dumps({"result": value}),
    }[kind]
    turns[at] = turns[at].model_copy(update={"content": content})
    return solved.task, _with(solved.response, turns), f"a forged result: {kind}"


def _result_dropped(problem: Problem, rng: random.Random) -> Made:
    solved = _solve(problem, rng)
    turns = solved.turns
    del turns[rng.choice(_tool_turns(turns))]
    return solved.task, _with(solved.response, turns), "a tool's turn is missing"


def _result_doubled(problem: Problem, rng: random.Random) -> Made:
    solved = _solve(problem, rng)
    turns = solved.turns
    at = rng.choice(_tool_turns(turns))
    turns.insert(at, turns[at])
    return solved.task, _with(solved.response, turns), "a tool's turn twice"


def _no_turns(problem: Problem, rng: random.Random) -> Made:
    """The right answer with no call at all, where one is required; or the state not touched."""
    facts = problem.task.facts
    if not facts.get("required") and "final_state" not in facts:
        return None
    solved = _solve(problem, rng, plan=[None] * len(facts.get("follow_ups", ())))
    return solved.task, solved.response, "nothing is called"


def _call_dropped(problem: Problem, rng: random.Random) -> Made:
    """The call that changes the state is left out."""
    if "final_state" not in problem.task.facts:
        return None
    plan = list(problem.plan)
    places = [at for at, step in enumerate(plan) if step and step[0][0] in ("store_set", "calendar_add")]
    del plan[rng.choice(places)]
    if plan == [*problem.plan]:
        return None
    # Where a later write makes up for the one left out, nothing is wrong.
    if (
        problem.task.topic.startswith("store")
        and len(places) > 1
        and plan[-1]
        and plan[-1][0][0] == "store_set"
    ):
        return None
    solved = _solve(problem, rng, plan=plan)
    return solved.task, solved.response, "a change is not made"


def _state_spoilt(problem: Problem, rng: random.Random) -> Made:
    """One change too many."""
    if "final_state" not in problem.task.facts:
        return None
    extra: Planned
    if "store_set" in problem.task.facts["tools"]:
        extra = rng.choice(([("store_set", {"key": "note", "value": "touched"})], [("store_delete", {"key": "note"})],
                            [("store_set", {"key": "new", "value": "1"})]))  # fmt: skip
    else:
        extra = [("calendar_add", {"title": "Extra", "date": "2028-01-01", "start": "09:00", "end": "10:00"})]
    solved = _solve(problem, rng, plan=[extra, *problem.plan])
    return solved.task, solved.response, "a change that nobody asked for"


def _malformed_turn(problem: Problem, rng: random.Random) -> Made:
    solved = _solve(problem, rng)
    turns = solved.turns
    at = rng.choice([n for n, turn in enumerate(turns[:-1]) if turn.role == "assistant"])
    bad = rng.choice(('<tool_call>\n{"name": "calculator", "arguments": {}\n</tool_call>', "<tool_call>\n</tool_call>", "</tool_call>",
                      '<tool_call>\n{"name": "calculator"}\n</tool_call>', '<tool_response>\n{"result": "1"}\n</tool_response>',
                      '<tool_call>\n{"name": "rm", "arguments": {}}\n</tool_call>'))  # fmt: skip
    turns[at] = turns[at].model_copy(update={"content": f"{turns[at].content}\n{bad}"})
    return solved.task, _with(solved.response, turns), "a turn with a block that can't be run"


def _in_thinking(problem: Problem, rng: random.Random) -> Made:
    """The calls of a turn stand in its thinking, and the tools answer nonetheless."""
    solved = _solve(problem, rng)
    turns = solved.turns
    places = [
        n for n, turn in enumerate(turns[:-1]) if turn.role == "assistant" and turns[n + 1].role == "tool"
    ]
    at = rng.choice(places)
    if turns[at].tool_calls:
        return None
    content = turns[at].content.rpartition("</think>")[2]
    close = rng.choice(("", "\n</think>\nI wait."))
    turns[at] = Message(role="assistant", content=f"<think>\n{content}{close}")
    return solved.task, _with(solved.response, turns), "calls in the thinking, and results for them"


def _unfinished(problem: Problem, rng: random.Random) -> Made:
    solved = _solve(problem, rng)
    turns = solved.turns
    places = [
        n
        for n, turn in enumerate(turns)
        if turn.role == "assistant" and n + 1 < len(turns) and turns[n + 1].role == "tool"
    ]
    turns = turns[: rng.choice(places) + 1]
    response = replace(_with(solved.response, turns), tool_calls=tuple(turns[-1].tool_calls or ()))
    return solved.task, response, "it ends with a call"


def _cut_off(problem: Problem, rng: random.Random) -> Made:
    solved = _solve(problem, rng)
    return solved.task, replace(solved.response, finish_reason="length"), "cut off by the limit of tokens"


def _too_many_turns(problem: Problem, rng: random.Random) -> Made:
    said = len(problem.plan)
    solved = _solve(problem, rng)
    task = solved.task.model_copy(update={"facts": {**solved.task.facts, "max_turns": rng.randint(1, said)}})
    return task, solved.response, "more turns than there may be"


def _stranger(problem: Problem, rng: random.Random) -> Made:
    solved = _solve(problem, rng)
    turns = solved.turns
    at = rng.randrange(len(turns))
    turns.insert(at, rng.choice((Message(role="user", content="Go on."), Message(role="system", content="The answer is 5."),
                                 Message(role="tool", content='{"result": "1"}'))))  # fmt: skip
    return solved.task, _with(solved.response, turns), "a turn that nobody took"


def _another_reply(problem: Problem, rng: random.Random) -> Made:
    """The text is not the one of the last turn."""
    solved = _solve(problem, rng, final="Done.")
    return solved.task, replace(solved.response, text=problem.final), "the text is not the last turn's"


def _results_in_text(problem: Problem, rng: random.Random) -> Made:
    """All in one turn: the model writes the results itself."""
    planned = next(step for step in problem.plan if step)
    text = (
        writing.text_of(planned, "hermes", rng)
        + '\n<tool_response>\n{"result": "1"}\n</tool_response>\n'
        + problem.final
    )
    return problem.task, Response(text), "results written by the model"


def _wrong_form(problem: Problem, rng: random.Random) -> Made:
    solved = _solve(problem, rng)
    form = "openai" if any(turn.tool_calls for turn in solved.turns) else None
    others = [one for one in FORMS if one != form] if form else ["openai"]
    task = solved.task.model_copy(update={"facts": {**solved.task.facts, "forms": others}})
    return task, solved.response, "a form that is not allowed"


_MUTATIONS: tuple[Callable[[Problem, random.Random], Made], ...] = (
    _wrong_answer, _wrong_answer, _no_answer, _two_answers, _answer_in_thinking, _forged_result, _forged_result, _result_dropped,
    _result_doubled, _no_turns, _call_dropped, _state_spoilt, _malformed_turn, _in_thinking, _unfinished, _cut_off, _too_many_turns,
    _stranger, _another_reply, _results_in_text, _wrong_form,
)  # fmt: skip
