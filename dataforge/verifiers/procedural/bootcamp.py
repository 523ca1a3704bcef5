"""Classes of InternBootcamp as tasks: `case_generator` makes an identity, `prompt_func` asks, `verify_score` judges.

The library is not on the package index; where it is installed as `internbootcamp`, any of its classes can be named by the
path of its class. Each item has an object of its own, made anew, and the identity travels in the task's facts, so no two
items share state. The library's generators use the global random state, which is seeded for an item and then put back.

Only a stand-in with these methods was ever judged here, never a class of the library itself: run `faults` over a class before its
verdicts are relied on.
"""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

from dataforge.errors import InputError
from dataforge.verifiers.procedural.making import contained
from dataforge.verifiers.protocol import Verdict, error, failed, passed, unparsed
from schemas.task import Task

PACKAGE = "internbootcamp"
IDLE = ("I do not know.", "I'm sorry, but I can't help with that.", "yes", "0")


def check(path: str, identity: Mapping[str, Any], answer: str) -> Verdict:
    """Judge the answer to an identity by the class's own `verify_score`, full marks or none."""
    try:
        kind = _class(path)
    except InputError as fault:
        return error("task", str(fault))
    if not answer.strip():
        return unparsed("the answer is empty")
    score = float(kind.verify_score(answer, json.loads(json.dumps(dict(identity))), format_score=0))
    if not 0.0 <= score <= 1.0:
        return error("verifier", f"`{path}` gives a score of {score:g}")
    extracted = kind.extract_output(answer) if hasattr(kind, "extract_output") else None
    if score == 1.0:
        return passed(str(extracted) if extracted is not None else answer)
    if extracted is None:
        return unparsed("there is no answer in the form that the prompt asks for")
    return failed("the answer is wrong", str(extracted))


def tasks(path: str, seed: int, n: int, **settings: Any) -> Iterator[Task]:
    """`n` tasks of a class; the settings go to its constructor.

    Raises:
        InputError: V090 where there is no such class, V091 where its identities are no JSON values.
    """
    kind = _class(path)
    for at in range(n):
        with contained():
            _seed(f"{seed}/{path}/{at}")
            made = kind(**settings)
            identity = made.case_generator()
            prompt = str(made.prompt_func(identity))
        yield Task(
            prompt=prompt,
            facts={"task": f"bootcamp:{path}", "metadata": _json(path, identity)},
            verifier="reasoning",
            topic=kind.__name__,
        )


def faults(path: str, seed: int = 0, n: int = 5) -> list[str]:
    """What is wrong with a class, as far as no stored answer is needed to tell: full marks for idle answers and echoes."""
    found = {
        f"gives full marks to {'its own question' if idle == task.prompt else repr(idle)}"
        for task in tasks(path, seed, n)
        for idle in (*IDLE, task.prompt)
        if check(path, task.facts["metadata"], idle).passed
    }
    return sorted(found)


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    if module.partition(".")[0] != PACKAGE:
        raise InputError(
            f"`{path}` is no class of InternBootcamp",
            code="V090",
            help=f"name it by its path, which begins with `{PACKAGE}.`",
        )
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as fault:
        raise InputError(
            f"there is no class `{path}`: {fault}",
            code="V090",
            help="InternBootcamp is not on the package index: install it from its repository",
        ) from fault
    if not all(
        callable(getattr(kind, method, None)) for method in ("case_generator", "prompt_func", "verify_score")
    ):
        raise InputError(
            f"`{path}` lacks case_generator, prompt_func or verify_score",
            code="V090",
            help="name a class that can be asked and judged, not a base class",
        )
    return kind


def _json(path: str, identity: Any) -> dict[str, Any]:
    try:
        made = json.loads(json.dumps(identity))
    except (TypeError, ValueError) as fault:
        raise InputError(
            f"an identity of `{path}` is no JSON value: {fault}",
            code="V091",
            help="such a class cannot be used: its questions could not be judged from a file",
        ) from fault
    if not isinstance(made, dict):
        raise InputError(
            f"an identity of `{path}` is no JSON object",
            code="V091",
            help="such a class cannot be used: its questions could not be judged from a file",
        )
    return made


def _seed(seed: str) -> None:
    import numpy

    random.seed(seed)
    numpy.random.seed(random.randrange(2**32))
