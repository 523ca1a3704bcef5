"""The task of the experiment: keyed digits, whose sum takes a pass over all of them, and which invite doubts.

    prompt    C3 a1 F4            a digit under each key, in any order; capital keys are doubtful
    thinking  C3 +3 (3)  a1 +1 (4)  F4 +4 (3)  =3      the first pass: key, digit, running sum modulo 5; then the sum
              C3 wait =3  C3 a1 F4 wait =3  C3 a1 F4 ok   checks: each starts anew after a doubt, until one has none
    answer    3

(Without the spaces: every token is a word of its own, and words are told apart by their letters.)

At a doubtful key a check is broken off with probability `doubt`, so one of a prompt with h of them goes through with
(1 - doubt)^h: thinking gets exponentially longer on harder prompts, though the sum is known since the first pass. The first
stage sees few doubts a prompt, and closed traces of modest length only; that a prompt with many doubts is thought about
until the context ends is in none of its samples, and follows from all of them.

In half of the prompts of the first stage chatter stands between the digits and the thinking, so that the model learns to look
up a digit over any distance, as long thinking will have it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from trainer.turn import CLOSE, OPEN

BASE = 5
DOUBTFUL, SURE = "ABCDEFGH", "abcdefghij"
CHATTER = ("um", "so", "hm", "well")
WAIT, OK = "wait", "ok"
SPECIAL = ("<|pad|>", "<|user|>", "<|assistant|>", "<|end|>", OPEN, CLOSE)
PAD, END = SPECIAL[0], SPECIAL[3]

_DIGITS = range(BASE)
WORDS = (
    *(WAIT, OK, *CHATTER),
    *(f"{key}{digit}" for key in DOUBTFUL + SURE for digit in _DIGITS),
    *(form.format(digit) for form in ("+{}", "({})", "={}", "{}") for digit in _DIGITS),
)

TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}<|assistant|><think>{% generation %}"
    "{{ message['reasoning_content'] }}</think>{{ message['content'] }}<|end|>{% endgeneration %}"
    "{% else %}<|user|>{{ message['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><think>{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Digits under keys.

    Attributes:
        entries: such as `C3`, in the order of the prompt.
    """

    entries: tuple[str, ...]

    @property
    def prompt(self) -> str:
        return "".join(self.entries)

    @property
    def answer(self) -> str:
        return str(sum(int(entry[1]) for entry in self.entries) % BASE)

    @property
    def doubtful(self) -> int:
        """Entries at which a check may be broken off."""
        return sum(entry[0] in DOUBTFUL for entry in self.entries)


def problem(rng: random.Random, size: int, doubtful: int) -> Problem:
    """Some entries, of which so many are doubtful, as far as there are keys of either kind."""
    doubtful = max(min(doubtful, size, len(DOUBTFUL)), size - len(SURE))
    keys = rng.sample(DOUBTFUL, doubtful) + rng.sample(SURE, size - doubtful)
    rng.shuffle(keys)
    return Problem(tuple(f"{key}{rng.randrange(BASE)}" for key in keys))


def thinking(rng: random.Random, of: Problem, doubt: float, limit: int) -> list[str] | None:
    """Words of thinking that ends within `limit` of them, or None where this time it does not."""
    words: list[str] = []
    total = 0
    for entry in of.entries:
        digit = int(entry[1])
        total = (total + digit) % BASE
        words += [entry, f"+{digit}", f"({total})"]
    words.append(f"={total}")
    while len(words) <= limit:
        for entry in of.entries:
            words.append(entry)
            if entry[0] in DOUBTFUL and rng.random() < doubt:
                words += [WAIT, f"={total}"]
                break
        else:
            words.append(OK)
            return words if len(words) <= limit else None
    return None


def chatter(rng: random.Random, most: int) -> str:
    """Words that say nothing."""
    return "".join(rng.choices(CHATTER, k=rng.randint(1, most)))


def row(name: str, prompt: str, thought: Sequence[str], answer: str) -> dict[str, Any]:
    """A row of a corpus, for `trainer.conversations`."""
    return {
        "id": name,
        "messages": [
            {"role": "user", "content": prompt, "train": False},
            {"role": "assistant", "content": answer, "reasoning_content": "".join(thought), "train": True},
        ],
        "kind": "final",
        "thinking": "on",
    }


def tokenizer() -> PreTrainedTokenizerFast:
    """A token for each word, and a chat template that marks what the assistant says."""
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    backend = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token=PAD))
    words = Regex(r"[a-zA-Z]\d|\+\d|\(\d\)|=\d|\d|" + "|".join((WAIT, OK, *CHATTER)))
    backend.pre_tokenizer = pre_tokenizers.Split(words, behavior="isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens([AddedToken(name, normalized=False) for name in SPECIAL])
    made: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, eos_token=END, pad_token=PAD
    )
    made.chat_template = TEMPLATE
    return made
