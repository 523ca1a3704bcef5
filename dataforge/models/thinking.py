"""Reasoning that a model wrote into its answer, taken out of it."""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


def split_thinking(text: str) -> tuple[str, str | None]:
    """Answer and reasoning of a text that may begin with `<think>…</think>`.

    Some chat templates open the block in the prompt, so that the text holds only its end. A block that never ends is
    reasoning as a whole: the model ran out of tokens before it came to answer. Tags further on in an answer are the
    answer's own business.
    """
    body = text.lstrip()
    if body.startswith(OPEN):
        reasoning, _, answer = body[len(OPEN) :].partition(CLOSE)
        return answer.strip(), reasoning.strip()
    reasoning, closed, answer = text.partition(CLOSE)
    if closed and OPEN not in reasoning:
        return answer.strip(), reasoning.strip()
    return text, None
