"""Mutants for `tool_calls`: a right response with exactly one thing wrong, by rules that do not ask the verifier.

A rule gives a task, a response and a note of what is wrong, or None where it can't be applied.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from dataforge.verifiers.calling import writing
from dataforge.verifiers.calling.call_drafts import (
    Sent,
    drafted,
    finished,
    freely,
    properties_of,
    with_thinking,
)
from dataforge.verifiers.calling.catalogue import OFFERS, request
from dataforge.verifiers.calling.changes import changed, fresh_key, look_alike, misordered, retyped
from dataforge.verifiers.calling.forms import FORMS
from dataforge.verifiers.protocol import Case, Response
from schemas.task import Task

REPLIES = (
    "None of my tools can do that, I'm afraid.", "Could you tell me which one you mean?", "Gladly: it is 43.",
    "I can't look that up, but here is how you could do it yourself: open the settings.", "Qual é a data, por favor?",
    'A JSON example: {"a": [1, 2], "b": "c"} - as you see, it is simple.', "Which date?", "我需要更多信息。", "Don't worry about it!",
    "Use `f(x)` for that; <b>bold</b> is HTML.", "I can't tell you whether it has been sent.", "The concert has been cancelled twice.",
    "I haven't booked anything: I have no tool for it.", "If I had sent it, you would know.", 'You could write: "I\'ve sent it."',
    "I can only draft it:\n\nDear Ana,\nI have sent the book.\nBest, Bo", "I've changed the order of the words.",
)  # fmt: skip
_CLAIMS = (
    "Done!", "All done.", "Sure! I've booked it.", "I've sent the message to Ana.", "Your table has been booked for eight.",
    "The e-mail has been sent.", "Okay, it's done.", "Reminder set for 9 am.", "I have successfully scheduled the meeting.",
    "**Done!**", "I turned off the lights.", "Don't worry, I've paid the bill.", "Great news! Your order has been placed.",
)  # fmt: skip
_DESCRIBED = (
    "I would call NAME(a=1) here.", "I'd use NAME with JSON.", "Action: NAME\nAction Input: JSON", '{"tool": "NAME", "args": JSON}',
    '{"NAME": JSON}', "```python\nNAME(a=1)\n```", "functions.NAME(JSON)", "NAME: JSON", "[NAME_of_none(a=1)]",
)  # fmt: skip
_REFUSALS = ("I'm sorry, but I can't help with that.", "As an AI, I am not able to do this.", "No.")


def mutant(task: Task, rng: random.Random) -> Case:
    while True:
        made = rng.choice(_MUTATIONS)(task, rng)
        if made is not None:
            mutated, response, note = made
            return Case(mutated, response, False, note)


Made = tuple[Task, Response, str] | None


def _exact(task: Task) -> Task:
    """The task without alternatives and the like, so that any change is a fault."""
    calls = [{"name": call["name"], "arguments": call["arguments"]} for call in task.facts["calls"]]
    return task.model_copy(update={"facts": {**task.facts, "calls": calls}})


def _on_one(task: Task, rng: random.Random, note: str, change: Callable[[str, dict[str, Any]], bool]) -> Made:
    """Change the arguments of one call; None where they can't be changed so."""
    task = _exact(task)
    sent: Sent = [(call["name"], deepcopy(call["arguments"])) for call in task.facts["calls"]]
    name, arguments = rng.choice(sent)
    if not change(name, arguments):
        return None
    draft = drafted(task, rng, sent=sent)
    return draft.task, with_thinking(finished(draft), rng), note


def _value_changed(task: Task, rng: random.Random) -> Made:
    def change(name: str, arguments: dict[str, Any]) -> bool:
        key = rng.choice(list(arguments))
        arguments[key] = changed(arguments[key], rng)
        return True

    return _on_one(task, rng, "one value changed", change)


def _value_retyped(task: Task, rng: random.Random) -> Made:
    def change(name: str, arguments: dict[str, Any]) -> bool:
        key = rng.choice(list(arguments))
        schema = properties_of(task, name)[key]
        value = retyped(arguments[key], schema, rng)
        if value is None:
            return False
        arguments[key] = value[0]
        return True

    task = _exact(task)
    sent: Sent = [(call["name"], deepcopy(call["arguments"])) for call in task.facts["calls"]]
    if not change(*rng.choice(sent)):
        return None
    # Without quotes, a form takes its types from the schema: there a number in a string is the number.
    form = rng.choice([one for one in task.facts.get("forms") or FORMS if one != "qwen3_coder"] or ["hermes"])
    task = task.model_copy(update={"facts": {**task.facts, "forms": []}})
    draft = drafted(task, rng, form, sent)
    return draft.task, with_thinking(finished(draft), rng), "one value of another type"


def _value_look_alike(task: Task, rng: random.Random) -> Made:
    def change(name: str, arguments: dict[str, Any]) -> bool:
        strings = [key for key, value in arguments.items() if isinstance(value, str)]
        if not strings:
            return False
        key = rng.choice(strings)
        found = look_alike(arguments[key], rng)
        if found == arguments[key]:
            return False
        arguments[key] = found
        return True

    return _on_one(task, rng, "one string looks alike and is not the same", change)


def _value_misordered(task: Task, rng: random.Random) -> Made:
    def change(name: str, arguments: dict[str, Any]) -> bool:
        for key, value in arguments.items():
            if isinstance(value, list) and (found := misordered(value, rng)) is not None:
                arguments[key] = found
                return True
        return False

    return _on_one(task, rng, "a list in another order", change)


def _argument_dropped(task: Task, rng: random.Random) -> Made:
    def change(name: str, arguments: dict[str, Any]) -> bool:
        properties = properties_of(task, name)
        keys = [key for key in arguments if properties[key].get("default", ...) != arguments[key]]
        if not keys:
            return False
        del arguments[rng.choice(keys)]
        return True

    return _on_one(task, rng, "an argument is missing", change)


def _argument_extra(task: Task, rng: random.Random) -> Made:
    def change(name: str, arguments: dict[str, Any]) -> bool:
        key = fresh_key([*arguments, *properties_of(task, name)], rng)
        arguments[key] = rng.choice((None, "", 1, True, [], {}, "x"))
        return True

    return _on_one(task, rng, "an argument too many", change)


def _argument_extra_known(task: Task, rng: random.Random) -> Made:
    def change(name: str, arguments: dict[str, Any]) -> bool:
        free = [
            key
            for key, schema in properties_of(task, name).items()
            if key not in arguments and "default" not in schema
        ]
        if not free:
            return False
        arguments[rng.choice(free)] = rng.choice((1, "x", [1], True))
        return True

    return _on_one(task, rng, "an argument too many that the tool takes", change)


def _argument_extra_nested(task: Task, rng: random.Random) -> Made:
    def change(name: str, arguments: dict[str, Any]) -> bool:
        for value in arguments.values():
            inner = value[0] if isinstance(value, list) and value else value
            if isinstance(inner, dict):
                inner[fresh_key(inner, rng)] = 1
                return True
        return False

    return _on_one(task, rng, "a nested argument too many", change)


def _call_missing(task: Task, rng: random.Random) -> Made:
    if len(task.facts["calls"]) < 2:
        return None
    sent = freely(task, rng)
    del sent[rng.randrange(len(sent))]
    draft = drafted(task, rng, sent=sent)
    return draft.task, with_thinking(finished(draft), rng), "one call is missing"


def _call_doubled(task: Task, rng: random.Random) -> Made:
    sent = freely(task, rng)
    sent.insert(rng.randint(0, len(sent)), deepcopy(rng.choice(sent)))
    draft = drafted(task, rng, sent=sent)
    return draft.task, with_thinking(finished(draft), rng), "one call twice"


def _call_extra(task: Task, rng: random.Random) -> Made:
    offers = [offer for offer in OFFERS if offer.schema in task.facts["tools"]]
    extra = request(rng.choice(offers), rng)
    sent = freely(task, rng)
    sent.insert(rng.randint(0, len(sent)), (extra.offer.name, extra.arguments))
    draft = drafted(task, rng, sent=sent)
    return draft.task, with_thinking(finished(draft), rng), "one call too many"


def _tool_wrong(task: Task, rng: random.Random) -> Made:
    task = _exact(task)
    sent: Sent = [(call["name"], deepcopy(call["arguments"])) for call in task.facts["calls"]]
    at = rng.randrange(len(sent))
    names = [tool["function"]["name"] for tool in task.facts["tools"]]
    others = [name for name in names if name not in [call["name"] for call in task.facts["calls"]]]
    sent[at] = (rng.choice(others), sent[at][1])
    draft = drafted(task, rng, sent=sent)
    return draft.task, with_thinking(finished(draft), rng), "another tool"


def _tool_unknown(task: Task, rng: random.Random) -> Made:
    sent = freely(task, rng)
    at = rng.randrange(len(sent))
    name = sent[at][0]
    wrong = rng.choice((name.upper(), name.replace("_", "-", 1) if "_" in name else name + "_", f"functions.{name}", name[:-1],
                        look_alike(name, rng)))  # fmt: skip
    if wrong == name or any(char.isspace() for char in wrong):
        return None
    sent[at] = (wrong, sent[at][1])
    draft = drafted(task, rng, sent=sent)
    return draft.task, with_thinking(finished(draft), rng), "a tool that there is not"


def _order_broken(task: Task, rng: random.Random) -> Made:
    task = _exact(task)
    sent: Sent = [(call["name"], deepcopy(call["arguments"])) for call in task.facts["calls"]]
    if len(sent) < 2:
        return None
    task = task.model_copy(update={"facts": {**task.facts, "order": "given"}})
    at = rng.randrange(len(sent) - 1)
    if sent[at] == sent[at + 1]:
        return None
    sent[at], sent[at + 1] = sent[at + 1], sent[at]
    draft = drafted(task, rng, sent=sent)
    return draft.task, with_thinking(finished(draft), rng), "calls in another order than given"


def _form_refused(task: Task, rng: random.Random) -> Made:
    draft = drafted(task, rng)
    others = [form for form in FORMS if form != draft.form]
    facts = {**draft.task.facts, "forms": rng.sample(others, rng.randint(1, 2))}
    return draft.task.model_copy(update={"facts": facts}), finished(draft), "a form that is not allowed"


def _forms_mixed(task: Task, rng: random.Random) -> Made:
    sent = freely(task, rng)
    if len(sent) < 2:
        return None
    task = task.model_copy(update={"facts": {**task.facts, "forms": []}})
    cut = rng.randint(1, len(sent) - 1)
    text = (
        writing.text_of(sent[:cut], "hermes", rng) + "\n" + writing.text_of(sent[cut:], "llama_function", rng)
    )
    return task, Response(text), "two forms in one response"


def _malformed_extra(task: Task, rng: random.Random) -> Made:
    draft = drafted(task, rng, form="hermes")
    name = draft.sent[0][0]
    bad = rng.choice(_BROKEN).replace("NAME", name)
    first = rng.random() < 0.5 and "unclosed" not in bad
    body = f"{bad}\n{draft.body}" if first else f"{draft.body}\n{bad}"
    draft.body, draft.tail = body, ""
    task = draft.task.model_copy(update={"facts": {**draft.task.facts, "forms": []}})
    return task, with_thinking(finished(draft), rng), "a malformed block besides the right calls"


_BROKEN = (
    '<tool_call>\n{"name": "NAME", "arguments": {"a": 1}\n</tool_call>', "<tool_call>\n{'name': 'NAME', 'arguments': {}}\n</tool_call>",
    '<tool_call>\n{"name": "NAME", "arguments": {},}\n</tool_call>', '<tool_call>\n{"name": "NAME", "parameters": {}}\n</tool_call>',
    '<tool_call>\n{"name": "NAME", "arguments": {}, "id": 1}\n</tool_call>', '<tool_call>\n{"name": "NAME", "arguments": "{}"}\n</tool_call>',
    '<tool_call>\n[{"name": "NAME", "arguments": {}}]\n</tool_call>', "<tool_call>\n</tool_call>", "<tool_call></tool_call>",
    '<tool_call>\n{"name": "NAME", "arguments": {"a": NaN}}\n</tool_call>', '<tool_call>\n{"name": "NAME", "arguments": {"a": 1, "a": 2}}\n</tool_call>',
    '<tool_call>\n{"name": "NAME", "arguments": {}}', '<tool_call>\n{"name": "NAME", "argum', "<tool_call>", "</tool_call>",
    '<tool_call>\n{"arguments": {}}\n</tool_call>', '<tool_call>\n{"name": "NAME"}\n</tool_call>', '<tool_call>\n{"name": null, "arguments": {}}\n</tool_call>',
    '<tool_call>\n{"name": "NAME", "arguments": null}\n</tool_call>', "<tool_call>\nNAME(a=1)\n</tool_call>", "<function=NAME>",
    '<tool_call>\n```json\n{"name": "NAME", "arguments": {}}\n```\n</tool_call>', "<tool_call><function=NAME><parameter=a>1</function></tool_call>",
    '<tool_call>\n{"name": "NAME", "arguments": {}} {"name": "NAME", "arguments": {}}\n</tool_call>', "<|python_tag|>NAME.call(a=1)",
    '<tool_call>\n{"name": "NAME", "arguments": {"a": "b\nc"}}\n</tool_call>', "<function=NAME>{bad}</function>",
    '<tool_response>\n{"result": 1}\n</tool_response>', "<tool_response>", 'So: {"name": "NAME", "arguments": {}}.',
    writing.seek("calls", "begin"), writing.text_of([("NAME", {})], "deepseek").replace("{}", "{"), "[TOOL_CALLS]NAME{}",
    '[TOOL_CALLS] [{"name": "NAME"',
)  # fmt: skip


def _only_malformed(task: Task, rng: random.Random) -> Made:
    """The right calls themselves, with a fault in how one is written."""
    sent = freely(task, rng)
    text = writing.text_of(sent, "hermes")
    fault = rng.choice(("brace", "quote", "tag", "close", "key", "fence", "case"))
    if fault == "brace":
        text = "}\n</tool_call>".join(text.rsplit("}}\n</tool_call>", 1))
    elif fault == "quote":
        text = text.replace('{"name": "', '{name: "', 1)
    elif fault == "tag":
        text = text.replace("<tool_call>", "<toolcall>", 1)
    elif fault == "close":
        text = text[: text.rindex("</tool_call>")]
    elif fault == "key":
        text = text.replace('{"name": ', '{"tool": ', 1)
    elif fault == "fence":
        text = "```json\n" + writing.llama_object(*sent[0]) + "\n```"
    else:
        text = text.replace("<tool_call>", "<TOOL_CALL>", 1)
    task = task.model_copy(update={"facts": {**task.facts, "forms": []}})
    return task, with_thinking(Response(text), rng), f"a call written wrong: {fault}"


def _in_thinking(task: Task, rng: random.Random) -> Made:
    sent = freely(task, rng)
    text = writing.text_of(sent, "hermes", rng)
    task = task.model_copy(update={"facts": {**task.facts, "forms": []}})
    place = rng.choice(("unclosed", "closed", "field", "late", "before", "second", "server"))
    if place == "unclosed":
        return task, Response(f"<think>\nI should call it.\n{text}"), "calls in thinking that never ends"
    if place == "closed":
        reply = rng.choice(("", "Done.", "I have called the tool."))
        return task, Response(f"<think>\n{text}\n</think>\n{reply}"), "calls in the thinking only"
    if place == "field":
        return task, Response("Done.", reasoning=text), "calls in the split-off thinking only"
    if place == "late":
        return task, Response(f"Right.\n<think>\n{text}"), "calls in thinking that begins late and never ends"
    if place == "before":
        return task, Response(f"{text}\n<think>\nok\n</think>\n"), "calls before the thinking"
    if place == "second":
        return (
            task,
            Response(f"<think>a</think>\n{text}\n<think>\nagain"),
            "thinking that begins anew behind the calls",
        )
    server = tuple(writing.server_call(name, arguments, rng) for name, arguments in sent)
    return (
        task,
        Response("<think>\nI should", tool_calls=server),
        "parsed calls after thinking that never ended",
    )


def _partly_in_thinking(task: Task, rng: random.Random) -> Made:
    sent = freely(task, rng)
    if len(sent) < 2:
        return None
    draft = drafted(task, rng, sent=sent[1:])
    decoy = writing.text_of(sent[:1], "hermes", rng)
    return draft.task, with_thinking(finished(draft), rng, decoy), "one of the calls in the thinking"


def _cut_off(task: Task, rng: random.Random) -> Made:
    draft = drafted(task, rng)
    response = finished(draft)
    return draft.task, replace(response, finish_reason="length"), "cut off by the limit of tokens"


def _truncated(task: Task, rng: random.Random) -> Made:
    sent = freely(task, rng)
    text = writing.text_of(sent, "hermes", rng)
    cut = rng.randint(1, len(text) - 1)
    task = task.model_copy(update={"facts": {**task.facts, "forms": []}})
    return task, Response(text[:cut], finish_reason=rng.choice(("length", None))), "the text is cut off"


def _no_call(task: Task, rng: random.Random) -> Made:
    text = rng.choice(
        ("", " \n ", task.prompt, rng.choice(_REFUSALS), rng.choice(REPLIES), "🙂", "{}", "[]", "null")
    )
    return task, with_thinking(Response(text), rng), "nothing is called"


def _in_prose(task: Task, rng: random.Random) -> Made:
    sent = freely(task, rng)
    body = writing.llama_object(*sent[0])
    text = rng.choice((f"I will call: {body}", f"```json\n{body}\n```", f"{body}\nThat is the call.", f"[{body}]", f"{body}{body}",
                       f"{body}\n{body}", f"`{body}`"))  # fmt: skip
    task = task.model_copy(update={"facts": {**task.facts, "forms": []}})
    return task, with_thinking(Response(text), rng), "a bare call amid other text"


def _server_broken(task: Task, rng: random.Random) -> Made:
    task = _exact(task)
    sent = freely(task, rng)
    server = [writing.server_call(name, arguments, id=f"c{at}") for at, (name, arguments) in enumerate(sent)]
    function = rng.choice(server)["function"]
    sent_text = function["arguments"]
    ways = [
        sent_text[:-1],
        f'"{len(sent_text)}"',
        f"[{sent_text}]",
        sent_text + "}",
        writing.json_text(sent_text),
    ]
    required = next(
        tool["function"]["parameters"].get("required")
        for tool in task.facts["tools"]
        if tool["function"]["name"] == function["name"]
    )
    if required:  # else nothing is a way to write them
        ways += ["", None, "null"]
    function["arguments"] = rng.choice(ways)
    task = task.model_copy(update={"facts": {**task.facts, "forms": []}})
    return task, Response("", tool_calls=tuple(server)), "parsed calls whose arguments are no object"


_MUTATIONS: tuple[Callable[[Task, random.Random], Made], ...] = (
    _value_changed, _value_changed, _value_changed, _value_retyped, _value_retyped, _value_look_alike, _value_misordered,
    _argument_dropped, _argument_extra, _argument_extra_known, _argument_extra_nested, _call_missing, _call_doubled, _call_extra,
    _tool_wrong, _tool_unknown, _order_broken, _form_refused, _forms_mixed, _malformed_extra, _malformed_extra, _only_malformed,
    _in_thinking, _partly_in_thinking, _cut_off, _truncated, _no_call, _in_prose, _server_broken,
)  # fmt: skip


# ---- mutants of tasks that call for none


def mute_mutant(task: Task, rng: random.Random) -> Case:
    kind = rng.choice(
        (
            "call",
            "empty",
            "thinking",
            "unclosed",
            "echo",
            "malformed",
            "blank",
            "cut off",
            "bare",
            "claim",
            "described",
        )
    )
    offers = [offer for offer in OFFERS if offer.schema in task.facts["tools"]]
    made = request(rng.choice(offers), rng)
    call = [(made.offer.name, made.arguments)]
    if kind == "call":
        draft = drafted(task, rng, sent=list(call))
        return Case(draft.task, with_thinking(finished(draft), rng), False, "a call where none is due")
    if kind == "malformed":
        text = rng.choice(REPLIES) + "\n" + rng.choice(_BROKEN).replace("NAME", made.offer.name)
        return Case(task, Response(text), False, "a malformed call where none is due")
    if kind == "bare":
        text = f"{rng.choice(REPLIES)} {writing.llama_object(*call[0])}"
        return Case(task, Response(text), False, "a bare call in prose where none is due")
    if kind == "described":
        written = rng.choice(_DESCRIBED).replace("NAME", made.offer.name)
        text = written.replace("JSON", writing.json_text(made.arguments or {"a": 1}))
        return Case(task, with_thinking(Response(text), rng), False, "a call described in words")
    response = {
        "claim": with_thinking(Response(rng.choice(_CLAIMS) + rng.choice(("", " Anything else?"))), rng),
        "empty": Response(""),
        "thinking": Response(f"<think>\n{rng.choice(REPLIES)}\n</think>\n"),
        "unclosed": Response(f"<think>\n{rng.choice(REPLIES)}"),
        "echo": with_thinking(
            Response(rng.choice((task.prompt, f'"{task.prompt}"', task.prompt.upper() + "\n"))), rng
        ),
        "blank": Response(rng.choice((" \n\t", "...", "—", "**", "🙂", "\u200b"))),
        "cut off": Response(rng.choice(REPLIES), finish_reason="length"),
    }[kind]
    return Case(task, response, False, f"no call, and no reply: {kind}")
