"""What a described tool is, and how a request to it is written."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dataforge.verifiers.calling.tools.tool import function_schema

Slot = Callable[[random.Random], tuple[str, Any]]
"""Draws a value: how it is said in a request, and the argument that it is."""

Ask = str | tuple[str, Mapping[str, Any]]
"""A template, or one whose words imply further arguments, which stand beside it."""

_SLOT = re.compile(r"\{([a-z_.0-9]+)(\|[a-z]+)?\}")


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """A tool.

    Attributes:
        properties: the JSON Schemas of its arguments, by name.
        required: those that must be sent.
        slots: how the arguments of the templates are drawn; a path such as `address.city` fills a nested object, and
            `value|hours` is a second way to draw `value`.
        asks: templates of requests, each a whole sentence.
        vague: requests that leave out something that the tool needs, so that one can only ask back.
    """

    name: str
    domain: str
    description: str
    properties: Mapping[str, Mapping[str, Any]]
    required: Sequence[str]
    slots: Mapping[str, Slot]
    asks: Sequence[Ask]
    vague: Sequence[str] = field(default=())

    @property
    def schema(self) -> dict[str, Any]:
        """In the form of OpenAI's API."""
        return function_schema(self.name, self.description, self.properties, self.required)

    @property
    def nested(self) -> bool:
        """Whether an argument is an object, or a list of objects."""
        return any(
            value.get("type") == "object" or value.get("items", {}).get("type") == "object"
            for value in self.properties.values()
        )


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a tool, and the arguments of the call that does it."""

    offer: Offer
    text: str
    arguments: dict[str, Any]


def request(offer: Offer, rng: random.Random) -> Request:
    """Draw a request."""
    ask = rng.choice(offer.asks)
    template, implied = (ask, {}) if isinstance(ask, str) else ask
    arguments: dict[str, Any] = {}
    for path, value in implied.items():
        _put(arguments, path, value)

    def say(slot: re.Match[str]) -> str:
        said, value = offer.slots[slot.group(1) + (slot.group(2) or "")](rng)
        _put(arguments, slot.group(1), value)
        return said

    text = _SLOT.sub(say, template)
    return Request(offer, text, arguments)


def _put(arguments: dict[str, Any], path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for key in outer:
        arguments = arguments.setdefault(key, {})
    arguments[last] = value
