"""What a tool that is run is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

State = dict[str, Any]
"""What the tools of one episode share and change: JSON values, by kit of tools."""


class ToolError(Exception):
    """A call that can't be done; the message is for the model.

    Args:
        message: why.
        besides: what else the model is told, by key, such as what a program printed before it failed.
    """

    def __init__(self, message: str, **besides: Any) -> None:
        super().__init__(message)
        self.besides = besides


class Overrun(ToolError):
    """A call that used up what it may use: an episode bears only a few of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A tool.

    Attributes:
        properties: the JSON Schemas of its arguments.
        required: those that must be sent.
        run: from the state, which it may change, and the arguments, which fit the schema, to a JSON value.
    """

    name: str
    description: str
    properties: Mapping[str, Mapping[str, Any]]
    required: Sequence[str]
    run: Callable[[State, Mapping[str, Any]], Any]

    @property
    def schema(self) -> dict[str, Any]:
        """In the form of OpenAI's API."""
        return function_schema(self.name, self.description, self.properties, self.required)


def function_schema(
    name: str, description: str, properties: Mapping[str, Mapping[str, Any]], required: Sequence[str]
) -> dict[str, Any]:
    """A tool in the form of OpenAI's API."""
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": {key: dict(value) for key, value in properties.items()},
                "required": list(required),
            },
        },
    }
