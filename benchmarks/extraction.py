"""What is taken from tricky completions: ours beside other frameworks' own rules, on the cases of `evals/gold/extraction.jsonl`.

    python benchmarks/extraction.py --quick
    python benchmarks/extraction.py --peers VENV/bin/python     # one with inspect-ai, lm-eval, lighteval and math-verify

Of a choice the letter must be the one that is there, or nothing where nothing is; of mathematics the value must be equal, by our
`maths`. `invented` is how often something is taken where there is no answer. The frameworks get the text as they would: their
own code parses it, in the interpreter that --peers names. Where it names none, the rules of `evals/rules.py` stand in for them,
which are the same in our words. simple-evals is on no registry and is always restated. The last line is one JSON object; `ratio`
is our share of right choices over the best other's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # before this folder, whose evals.py is a benchmark

from evals.extraction import GoldCase, gold, is_right, ours  # noqa: E402
from evals.rules import RULES  # noqa: E402

PEERS = r"""
import json, re, sys
cases = [json.loads(line) for line in sys.stdin]
took = {}
def run(name, kinds, take):
    for case in cases:
        if case["kind"] in kinds:
            try:
                took.setdefault(name, {})[case["id"]] = take(case)
            except Exception as error:
                took.setdefault(name, {})[case["id"]] = f"!{type(error).__name__}"
def attempt(setup):
    try:
        setup()
    except ImportError as error:
        print(f"{setup.__name__}: {error}", file=sys.stderr)
CHOICES = ("choice", "think")
def inspect_ai():
    from inspect_ai.model import ModelOutput
    from inspect_ai.solver._multiple_choice import parse_answers
    from inspect_ai.solver import Choices
    class State:
        pass
    def take(case):
        state = State()
        state.choices = Choices(list(case["options"]))
        state.output = ModelOutput.from_content("m", case["response"]["text"])
        found = parse_answers(state, False)
        return next(iter(found)) if len(found) == 1 else None
    run("inspect choice", CHOICES, take)
def lm_eval():
    from lm_eval.filters.extraction import MultiChoiceRegexFilter, RegexFilter
    flexible = MultiChoiceRegexFilter(regex_pattern=r"(\([A-Z]\))", group_select=-1, ignore_case=True, ignore_punctuation=True)
    strict = RegexFilter(regex_pattern="(?<=The answer is )(.*)(?=.)")
    def bare(found):
        text = found[0][0] if isinstance(found[0], (list, tuple)) else found[0]
        return None if text == "[invalid]" else text.strip("() .*")
    run("lm-eval gpqa flexible", CHOICES, lambda c: bare(flexible.apply([[c["response"]["text"]]], [{"choices": c["options"]}])))
    run("lm-eval gpqa strict", CHOICES, lambda c: bare(strict.apply([[c["response"]["text"]]], [{}])))
    number = RegexFilter(regex_pattern=r"(-?[$0-9.,]{2,})|(-?[0-9]+)", group_select=-1)
    run("lm-eval gsm8k flexible", ("maths",), lambda c: bare(number.apply([[c["response"]["text"]]], [{}])))
def lighteval():
    from lighteval.metrics.utils.extractive_match_utils import (
        ExprExtractionConfig, IndicesExtractionConfig, LatexExtractionConfig, extract_target_from_pred, get_extraction_regexes)
    from lighteval.tasks.requests import Doc
    from lighteval.utils.language import Language
    def take(case):
        doc = Doc(query="", choices=list("ABCD"), gold_index=0)
        regexes = get_extraction_regexes(doc, (IndicesExtractionConfig(prefix_for_extraction="NativeLetters"),), Language.ENGLISH)
        found = extract_target_from_pred(case["response"]["text"], regexes, "first_match", "first_match")
        return str(found[0]) if found else None
    run("lighteval", CHOICES, take)
    def value(case):
        doc = Doc(query="", choices=["x"], gold_index=0)
        regexes = get_extraction_regexes(doc, (ExprExtractionConfig(), LatexExtractionConfig()), Language.ENGLISH)
        found = extract_target_from_pred(case["response"]["text"], regexes, "first_match", "any_match")
        return str(found[-1]) if found else None
    run("lighteval", ("maths",), value)
def math_verify():
    from math_verify import parse
    def value(case):
        found = parse(case["response"]["text"], parsing_timeout=None)
        return str(found[-1]) if found else None
    run("math-verify", ("maths",), value)
for setup in (inspect_ai, lm_eval, lighteval, math_verify):
    attempt(setup)
print(json.dumps(took))
"""


def by_peers(cases: list[GoldCase], python: str) -> dict[str, dict[str, Any]]:
    """What the frameworks' own code takes."""
    path = ROOT / "evals" / "gold" / "extraction.jsonl"
    done = subprocess.run(
        [python, "-c", PEERS],
        input=path.read_text(encoding="utf-8"),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    sys.stderr.write("".join(line + "\n" for line in done.stderr.splitlines() if ": No module" in line))
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def restated(cases: list[GoldCase], only: str = "") -> dict[str, dict[str, Any]]:
    """What the rules in our words take."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for rule in RULES:
        if only in rule.name:
            for case in cases:
                verifier = {"choice": "multiple_choice", "think": "multiple_choice", "maths": "maths"}.get(
                    case.kind
                )
                if verifier in rule.verifiers:
                    taken = rule.take(case.response.text, case.options)
                    found[rule.name][case.id] = None if taken is None else taken.text
    return dict(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the same: it takes seconds")
    parser.add_argument("--peers", help="an interpreter with inspect-ai, lm-eval, lighteval and math-verify")
    parser.add_argument("--missed", action="store_true", help="show the cases that ours misses")
    options = parser.parse_args()
    cases = list(gold())
    took = {"ours": {case.id: ours(case) for case in cases}}
    if options.peers is None:
        took |= restated(cases)
    else:
        took |= restated(cases, only="simple-evals") | by_peers(cases, options.peers)
    kinds = list(dict.fromkeys(case.kind for case in cases))
    right: dict[str, dict[str, float]] = {}
    invented: dict[str, int] = {}
    print(f"{len(cases)} cases, {sum(case.expected is None for case in cases)} of them without an answer\n")
    print(f"{'':24}" + "".join(f"{kind:>9}" for kind in kinds) + f"{'invented':>10}")
    for name, taken in took.items():
        mine = [case for case in cases if case.id in taken]
        right[name] = {
            kind: sum(is_right(case, taken[case.id]) for case in of) / len(of)
            for kind in kinds
            if (of := [case for case in mine if case.kind == kind])
        }
        invented[name] = sum(case.expected is None and taken[case.id] is not None for case in mine)
        cells = "".join(f"{right[name][kind]:9.2f}" if kind in right[name] else f"{'':9}" for kind in kinds)
        print(f"{name:24}{cells}{invented[name]:10}")
    if options.missed:
        for case in cases:
            if not is_right(case, took["ours"][case.id]):
                print(
                    f"{case.id} {case.note}: {case.response.text!r} is {case.expected!r}, taken {took['ours'][case.id]!r}"
                )
    best = max(shares["choice"] for name, shares in right.items() if name != "ours" and "choice" in shares)
    every = sum(is_right(case, took["ours"][case.id]) for case in cases) / len(cases)
    print(
        json.dumps(
            {
                "cases": len(cases),
                "ours": every,
                "right": right,
                "invented": invented,
                "ratio": right["ours"]["choice"] / best,
            }
        )
    )


if __name__ == "__main__":
    main()
