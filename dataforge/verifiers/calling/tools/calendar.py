"""The tools `calendar_…`: events of days, which the state keeps as a list under `calendar`.

{"title": "Dentist", "date": "2027-03-02", "start": "09:30", "end": "10:15"}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from dataforge.verifiers.calling.tools.tool import State, Tool, ToolError

MOST = 200
"""The most events."""

_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_DATE = {"type": "string", "description": "the day, as YYYY-MM-DD"}
_CLOCK = {"type": "string", "description": "the time of day, as HH:MM"}


def _list(state: State, arguments: Mapping[str, Any]) -> Any:
    day = _day(arguments["date"])
    return sorted(
        (dict(event) for event in _events(state) if event["date"] == day), key=lambda event: event["start"]
    )


def _add(state: State, arguments: Mapping[str, Any]) -> Any:
    made = {
        "title": arguments["title"],
        "date": _day(arguments["date"]),
        "start": _time(arguments["start"]),
        "end": _time(arguments["end"]),
    }
    if made["start"] >= made["end"]:
        raise ToolError("an event ends after it starts")
    events = _events(state)
    if len(events) >= MOST:
        raise ToolError("the calendar is full")
    for event in events:
        if event["date"] == made["date"] and event["start"] < made["end"] and made["start"] < event["end"]:
            raise ToolError(f"it overlaps with `{event['title']}`, {event['start']} to {event['end']}")
    events.append(made)
    return "added"


def _remove(state: State, arguments: Mapping[str, Any]) -> Any:
    day = _day(arguments["date"])
    events = _events(state)
    for at, event in enumerate(events):
        if event["title"] == arguments["title"] and event["date"] == day:
            del events[at]
            return "removed"
    raise ToolError("there is no such event on that day")


def _events(state: State) -> list[dict[str, str]]:
    events: list[dict[str, str]] = state.setdefault("calendar", [])
    return events


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ToolError("a day is written YYYY-MM-DD") from error


def _time(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise ToolError("a time is written HH:MM")
    return text


TOOLS = (
    Tool("calendar_list", "Lists the events of a day, by their start.", {"date": _DATE}, ("date",), _list),
    Tool(
        "calendar_add",
        "Adds an event. It may not overlap with another.",
        {"title": {"type": "string"}, "date": _DATE, "start": _CLOCK, "end": _CLOCK},
        ("title", "date", "start", "end"),
        _add,
    ),
    Tool("calendar_remove", "Removes an event by its title.", {"title": {"type": "string"}, "date": _DATE}, ("title", "date"), _remove),
)  # fmt: skip
"""All of them."""
