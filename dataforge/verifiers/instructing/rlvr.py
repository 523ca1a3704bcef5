"""The rows of RLVR-IFEval: its 25 functions with their arguments, as constraints of ours.

A row's ground truth is one JSON object (or its text) of a `func_name` and arguments, of which those that the function does
not take are null. Where a function counts exactly and IFEval at least (sections) or freely (keywords, letters), the
constraint gets the relation that the row's prompt asks for: exactly.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from dataforge.verifiers.instructing.registry import BadConstraint

EXACTLY = {"relation": "exactly"}
FUNCTIONS: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "verify_keywords": ("keywords:existence", {"keyword_list": "keywords"}, {}),
    "verify_keyword_frequency": ("keywords:frequency", {"word": "keyword", "N": "frequency"}, EXACTLY),
    "validate_forbidden_words": ("keywords:forbidden_words", {"forbidden_words": "forbidden_words"}, {}),
    "verify_letter_frequency": (
        "keywords:letter_frequency", {"letter": "letter", "N": "let_frequency"}, {"let_relation": "exactly"},
    ),
    "validate_response_language": ("language:response_language", {"language": "language"}, {}),
    "verify_paragraph_count": ("length_constraints:number_paragraphs", {"N": "num_paragraphs"}, {}),
    "validate_word_constraint": (
        "length_constraints:number_words", {"N": "num_words", "quantifier": "relation"}, {},
    ),
    "verify_sentence_constraint": (
        "length_constraints:number_sentences", {"N": "num_sentences", "quantifier": "relation"}, {},
    ),
    "validate_paragraphs": (
        "length_constraints:nth_paragraph_first_word",
        {"N": "num_paragraphs", "i": "nth_paragraph", "first_word": "first_word"}, {},
    ),
    "verify_postscript": ("detectable_content:postscript", {"postscript_marker": "postscript_marker"}, {}),
    "validate_placeholders": ("detectable_content:number_placeholders", {"N": "num_placeholders"}, {}),
    "verify_bullet_points": ("detectable_format:number_bullet_lists", {"N": "num_bullets"}, {}),
    "validate_title": ("detectable_format:title", {}, {}),
    "validate_choice": ("detectable_format:constrained_response", {"options": "options"}, {}),
    "validate_highlighted_sections": (
        "detectable_format:number_highlighted_sections", {"N": "num_highlights"}, {},
    ),
    "validate_sections": (
        "detectable_format:multiple_sections", {"N": "num_sections", "section_splitter": "section_spliter"}, EXACTLY,
    ),
    "validate_json_format": ("detectable_format:json_format", {}, {}),
    "validate_repeat_prompt": ("combination:repeat_prompt", {"original_prompt": "prompt_to_repeat"}, {}),
    "validate_two_responses": ("combination:two_responses", {}, {}),
    "validate_uppercase": ("change_case:english_capital", {}, {}),
    "validate_lowercase": ("change_case:english_lowercase", {}, {}),
    "validate_frequency_capital_words": (
        "change_case:capital_word_frequency", {"N": "capital_frequency", "quantifier": "capital_relation"}, {},
    ),
    "validate_end": ("startend:end_checker", {"end_phrase": "end_phrase"}, {}),
    "validate_quotation": ("startend:quotation", {}, {}),
    "validate_no_commas": ("punctuation:no_comma", {}, {}),
}  # fmt: skip
"""Function to id, argument to argument, and what is added."""

_ALSO = {"keyword": "word", "section_spliter": "section_splitter"}
"""Other names that copies of the data give to arguments."""


def from_ground_truth(ground_truth: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The id and arguments of the constraint that a row of RLVR-IFEval means.

    Raises:
        BadConstraint: it names no function, or is no JSON object.
    """
    if isinstance(ground_truth, str):
        try:
            ground_truth = json.loads(ground_truth)
        except ValueError as failure:
            raise BadConstraint(f"the ground truth is no JSON: {failure}") from failure
    if not isinstance(ground_truth, Mapping):
        raise BadConstraint("the ground truth is no JSON object")
    name = ground_truth.get("func_name")
    if name not in FUNCTIONS:
        raise BadConstraint(f"there is no function `{name}` in RLVR-IFEval")
    id, arguments, added = FUNCTIONS[name]
    kwargs = dict(added)
    for given, value in ground_truth.items():
        target = arguments.get(_ALSO.get(given, given), arguments.get(given))
        if target is not None and value is not None:
            kwargs[target] = options(value) if given == "options" else value
    return id, kwargs


def options(value: Any) -> list[str]:
    """Options from a list, or from its text in JSON, as a tuple of Python, or with commas, slashes or line breaks."""
    if not isinstance(value, str):
        return [str(option) for option in value]
    try:
        found = ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        found = None
    if isinstance(found, (list, tuple)):
        return [str(option) for option in found]
    for mark in ("\n", " / ", "/", ";", ","):
        if mark in value:
            return [option.strip() for option in value.split(mark) if option.strip()]
    return [value]
