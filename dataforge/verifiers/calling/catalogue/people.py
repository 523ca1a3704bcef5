"""Messages, calendars and health."""

from __future__ import annotations

import random
from typing import Any

from dataforge.verifiers.calling.catalogue import slots
from dataforge.verifiers.calling.catalogue.offers import Offer

_DATE = {"type": "string", "description": "the day, as YYYY-MM-DD"}
_TIME = {"type": "string", "description": "the time of day, as HH:MM"}
_PERSON = {"type": "string", "description": "a person's full name"}

OFFERS = (
    Offer(
        "send_email", "messages", "Sends an e-mail.",
        {"to": {"type": "array", "items": {"type": "string", "format": "email"}, "minItems": 1},
         "subject": {"type": "string"}, "body": {"type": "string"},
         "priority": {"type": "string", "enum": ["low", "normal", "high"], "default": "normal"}},
        ("to", "subject", "body"),
        {"to": slots.emails, "subject": slots.quoted("Friday", "Minutes of the meeting", "Your question", "Invoice 2291", "Re: budget"),
         "body": slots.message, "priority": slots.plain("low", "high")},
        ("E-mail {to} (in that order) with the subject {subject} and the text {body}",
         "Send an e-mail with {priority} priority to {to}, in that order. Subject: {subject}. Body: {body}"),
        ("Send an e-mail to my sister.",),
    ),
    Offer(
        "send_text_message", "messages", "Sends a text message to a contact.",
        {"contact": _PERSON, "text": {"type": "string"}}, ("contact", "text"),
        {"contact": slots.person, "text": slots.message},
        ("Text {contact}: {text}", "Send {contact} the message {text}"),
        ("Text Ana Silva for me.",),
    ),
    Offer(
        "schedule_message", "messages", "Sends a text message later.",
        {"contact": _PERSON, "text": {"type": "string"},
         "when": {"type": "object", "properties": {"date": _DATE, "time": _TIME}, "required": ["date", "time"]}},
        ("contact", "text", "when"),
        {"contact": slots.person, "text": slots.message, "when.date": slots.date, "when.time": slots.clock},
        ("On {when.date} at {when.time}, send {contact} this message: {text}",),
    ),
    Offer(
        "create_event", "calendar", "Puts an event into the calendar.",
        {"title": {"type": "string"}, "date": _DATE, "start": _TIME, "duration_minutes": {"type": "integer", "minimum": 5},
         "attendees": {"type": "array", "items": {"type": "string"}, "description": "full names"},
         "all_may_edit": {"type": "boolean", "default": False}},
        ("title", "date", "start", "duration_minutes"),
        {"title": slots.quoted("Team lunch", "Dentist", "Planning Q3", "Chess club", "Call with the bank", "Yoga"), "date": slots.date,
         "start": slots.clock, "duration_minutes": slots.whole(15, 180, 15), "attendees": slots.some(slots.PEOPLE, 2, 3)},
        ("Put {title} into my calendar on {date} at {start}, for {duration_minutes} minutes.",
         "Create the event {title} on {date}, {start}, lasting {duration_minutes} minutes, with {attendees} in that order."),
        ("Put the dentist into my calendar.",),
    ),
    Offer(
        "list_events", "calendar", "Lists the events between two days.",
        {"from_date": _DATE, "to_date": _DATE}, ("from_date", "to_date"), {"from_date": slots.early, "to_date": slots.late},
        ("List my events from {from_date} to {to_date}.",),
    ),
    Offer(
        "delete_event", "calendar", "Deletes an event.",
        {"event_id": {"type": "integer"}, "notify": {"type": "boolean", "description": "tell those who were invited"}},
        ("event_id", "notify"), {"event_id": slots.whole(100, 9999)},
        (("Delete event {event_id} and let the guests know.", {"notify": True}),
         ("Delete event {event_id} without telling anybody.", {"notify": False})),
        ("Delete that event, please.",),
    ),
    Offer(
        "log_meal", "health", "Writes a meal into the food diary.",
        {"meal": {"type": "string", "enum": ["breakfast", "lunch", "dinner", "snack"]},
         "foods": {"type": "array", "items": {"type": "object", "properties": {"food": {"type": "string"}, "grams": {"type": "integer"}},
                                              "required": ["food", "grams"]}}},
        ("meal", "foods"),
        {"meal": slots.plain("breakfast", "lunch", "dinner", "snack"),
         "foods": lambda rng: _grams(rng)},
        ("Log my {meal}: {foods}.", "Write down for {meal} that I ate {foods}."),
    ),
    Offer(
        "log_measurement", "health", "Writes a measurement of the body down.",
        {"kind": {"type": "string", "enum": ["weight_kg", "pulse_bpm", "temperature_c", "sleep_hours"]}, "value": {"type": "number"},
         "date": _DATE},
        ("kind", "value", "date"),
        {"value|weight": slots.amount(40, 120, 1), "value|pulse": slots.whole(45, 160), "value|temperature": slots.amount(36, 40, 1),
         "value|sleep": slots.amount(4, 11, 1), "date": slots.date},
        (("Log a weight of {value|weight} kg for {date}.", {"kind": "weight_kg"}),
         ("Write down a pulse of {value|pulse} bpm for {date}.", {"kind": "pulse_bpm"}),
         ("My temperature on {date} was {value|temperature} °C; please log it.", {"kind": "temperature_c"}),
         ("I slept {value|sleep} hours on {date}; log that.", {"kind": "sleep_hours"})),
    ),
    Offer(
        "book_appointment", "health", "Books an appointment with a doctor.",
        {"specialty": {"type": "string", "enum": ["general", "dermatology", "cardiology", "dentistry"]}, "date": _DATE, "time": _TIME,
         "patient": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"},
                                                      "first_visit": {"type": "boolean"}}, "required": ["name", "age", "first_visit"]}},
        ("specialty", "date", "time", "patient"),
        {"specialty": slots.called(general="general practitioner", dermatology="dermatologist", cardiology="cardiologist", dentistry="dentist"),
         "date": slots.date, "time": slots.clock, "patient.name": slots.person, "patient.age": slots.whole(3, 95)},
        (("Book a {specialty} on {date} at {time} for {patient.name}, aged {patient.age}, who has never been there.", {"patient.first_visit": True}),
         ("{patient.name}, {patient.age} years old and a patient there already, needs a {specialty} on {date}, {time}.",
          {"patient.first_visit": False})),
        ("I need to see a dermatologist.",),
    ),
)  # fmt: skip
"""The tools of these domains."""


def _grams(rng: random.Random) -> tuple[str, Any]:
    foods = rng.sample(("oats", "rice", "lentils", "salmon", "apple", "yoghurt", "bread"), rng.randint(1, 3))
    found = [(rng.randrange(20, 400, 10), food) for food in foods]
    said = slots.listed([f"{grams} g of {food}" for grams, food in found])
    return said, [{"food": food, "grams": grams} for grams, food in found]
