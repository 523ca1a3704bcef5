"""The house, music and films."""

from __future__ import annotations

import random
from typing import Any

from dataforge.verifiers.calling.catalogue import slots
from dataforge.verifiers.calling.catalogue.offers import Offer

_ROOMS = ("kitchen", "bedroom", "living room", "office", "hallway")
_ROOM = {"type": "string", "enum": list(_ROOMS)}

OFFERS = (
    Offer(
        "set_light", "home", "Switches and dims the lights of a room.",
        {"room": _ROOM, "on": {"type": "boolean"}, "brightness": {"type": "integer", "minimum": 1, "maximum": 100},
         "colour": {"type": "object", "properties": {"red": {"type": "integer"}, "green": {"type": "integer"}, "blue": {"type": "integer"}},
                    "required": ["red", "green", "blue"]}},
        ("room", "on"),
        {"room": slots.plain(*_ROOMS), "brightness": slots.whole(5, 95, 5), "colour.red": slots.whole(0, 255),
         "colour.green": slots.whole(0, 255), "colour.blue": slots.whole(0, 255)},
        (("Turn the lights in the {room} on.", {"on": True}), ("Turn the lights in the {room} off.", {"on": False}),
         ("Turn on the {room} lights at {brightness} percent.", {"on": True}),
         ("Turn on the {room} lights with the RGB colour {colour.red}, {colour.green}, {colour.blue}.", {"on": True})),
        ("Turn on the lights in that room over there.",),
    ),
    Offer(
        "set_thermostat", "home", "Sets the temperature of a room, in degrees Celsius.",
        {"room": _ROOM, "temperature": {"type": "number"}, "mode": {"type": "string", "enum": ["heat", "cool", "auto"], "default": "auto"}},
        ("room", "temperature"),
        {"room": slots.plain(*_ROOMS), "temperature": slots.amount(15, 26, 1)},
        ("Set the {room} to {temperature} degrees Celsius.", ("Heat the {room} to {temperature} °C.", {"mode": "heat"}),
         ("Cool the {room} down to {temperature} °C.", {"mode": "cool"})),
        ("Make it warmer in the bedroom, to a temperature I'll decide later.",),
    ),
    Offer(
        "set_alarm", "home", "Sets an alarm.",
        {"time": {"type": "string", "description": "HH:MM"},
         "repeat": {"type": "array", "items": {"type": "string", "enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]},
                    "description": "days of the week, Monday first; left out for once"},
         "label": {"type": "string"}},
        ("time",),
        {"time": slots.clock, "label": slots.quoted("Medicine", "Wake up", "Feed the cat", "Stand-up"),
         "repeat": lambda rng: _days(rng)},
        ("Set an alarm for {time}.", "Set an alarm for {time} labelled {label}.", "Wake me at {time} every {repeat}."),
        ("Set an alarm for me.",),
    ),
    Offer(
        "start_vacuum", "home", "Sends the vacuum robot.",
        {"rooms": {"type": "array", "items": _ROOM}, "power": {"type": "string", "enum": ["quiet", "standard", "turbo"], "default": "standard"}},
        ("rooms",), {"rooms": slots.some(_ROOMS, 2, 3), "power": slots.plain("quiet", "turbo")},
        ("Vacuum the {rooms}, in that order.", "Vacuum the {rooms} (in that order) at {power} power."),
    ),
    Offer(
        "play_music", "media", "Plays music.",
        {"artist": {"type": "string"}, "title": {"type": "string"}, "shuffle": {"type": "boolean", "default": False},
         "volume": {"type": "integer", "minimum": 0, "maximum": 100}},
        ("artist",),
        {"artist": slots.plain("Cesária Évora", "Björk", "Fela Kuti", "Joni Mitchell", "Miles Davis"),
         "title": slots.quoted("Blue in Green", "Sodade", "A Case of You", "Jóga", "Water No Get Enemy"), "volume": slots.whole(5, 100, 5)},
        ("Play something by {artist}.", "Play {title} by {artist} at volume {volume}.",
         ("Shuffle songs by {artist}.", {"shuffle": True})),
    ),
    Offer(
        "search_films", "media", "Searches films.",
        {"genre": {"type": "string", "enum": ["comedy", "drama", "thriller", "documentary", "animation"]},
         "years": {"type": "object", "properties": {"from": {"type": "integer"}, "to": {"type": "integer"}}, "required": ["from", "to"]},
         "min_rating": {"type": "number", "minimum": 0, "maximum": 10}},
        ("genre",),
        {"genre": slots.plain("comedy", "drama", "thriller", "documentary", "animation"), "years.from": slots.whole(1950, 1989),
         "years.to": slots.whole(1990, 2025), "min_rating": slots.amount(5, 9, 1)},
        ("Find films of the genre {genre}.", "Find films of the genre {genre} from {years.from} to {years.to}.",
         "Search the genre {genre} for films of {years.from} to {years.to} rated {min_rating} or better."),
    ),
    Offer(
        "add_to_playlist", "media", "Adds songs to a playlist.",
        {"playlist": {"type": "string"}, "songs": {"type": "array", "items": {"type": "object", "properties": {
            "title": {"type": "string"}, "artist": {"type": "string"}}, "required": ["title", "artist"]}}},
        ("playlist", "songs"),
        {"playlist": slots.quoted("Road trip", "Slow mornings", "Écoute"), "songs": lambda rng: _songs(rng)},
        ("Add {songs} to my playlist {playlist}, in that order.",),
    ),
)  # fmt: skip
"""The tools of these domains."""

_WEEK = (("mon", "Monday"), ("tue", "Tuesday"), ("wed", "Wednesday"), ("thu", "Thursday"), ("fri", "Friday"), ("sat", "Saturday"),
         ("sun", "Sunday"))  # fmt: skip


def _days(rng: random.Random) -> tuple[str, Any]:
    chosen = sorted(rng.sample(range(7), rng.randint(1, 3)))
    return slots.listed([_WEEK[at][1] for at in chosen]), [_WEEK[at][0] for at in chosen]


def _songs(rng: random.Random) -> tuple[str, Any]:
    songs = rng.sample(
        (("Sodade", "Cesária Évora"), ("Jóga", "Björk"), ("Zombie", "Fela Kuti"), ("So What", "Miles Davis")),
        rng.randint(2, 3),
    )
    said = slots.listed([f'"{title}" by {artist}' for title, artist in songs])
    return said, [{"title": title, "artist": artist} for title, artist in songs]
