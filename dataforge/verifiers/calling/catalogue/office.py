"""Language, data, tickets and servers."""

from __future__ import annotations

import random
from typing import Any

from dataforge.verifiers.calling.catalogue import slots
from dataforge.verifiers.calling.catalogue.offers import Offer

_LANGUAGES = slots.called(
    de="German", fr="French", pt="Portuguese", ja="Japanese", sw="Swahili", no="Norwegian"
)

OFFERS = (
    Offer(
        "translate_text", "language", "Translates a text.",
        {"text": {"type": "string"}, "target": {"type": "string", "enum": ["de", "fr", "pt", "ja", "sw", "no"], "description": "ISO 639-1"},
         "formal": {"type": "boolean", "description": "polite forms"}},
        ("text", "target"), {"text": slots.message, "target": _LANGUAGES},
        ("Translate into {target}: {text}", ("Translate this politely, with formal address, into {target}: {text}", {"formal": True})),
        ("Translate this for me into French.",),
    ),
    Offer(
        "define_word", "language", "Looks a word up in a dictionary.",
        {"word": {"type": "string"}, "with_examples": {"type": "boolean", "default": False}}, ("word",),
        {"word": slots.quoted("serendipity", "saudade", "ubiquitous", "hygge", "laconic", "petrichor")},
        ("Look up {word} in the dictionary.", ("Look up {word} in the dictionary and give examples.", {"with_examples": True})),
    ),
    Offer(
        "describe_numbers", "data", "Computes a statistic of numbers.",
        {"values": {"type": "array", "items": {"type": "number"}}, "statistic": {"type": "string", "enum": ["mean", "median", "stdev", "range"]}},
        ("values", "statistic"),
        {"values": slots.numbers(-50, 200), "statistic": slots.called(mean="mean", median="median", stdev="standard deviation", range="range")},
        ("Compute the {statistic} of these values: {values}.", "What is the {statistic} of {values}? Keep the order of the values."),
    ),
    Offer(
        "query_table", "data", "Reads rows of a table that fulfil conditions.",
        {"table": {"type": "string"},
         "where": {"type": "array", "items": {"type": "object", "properties": {
             "column": {"type": "string"}, "op": {"type": "string", "enum": ["=", "<", ">", "!="]}, "value": {"type": ["string", "number"]}},
             "required": ["column", "op", "value"]}},
         "limit": {"type": "integer", "default": 100}},
        ("table", "where"),
        {"table": slots.plain("orders", "customers", "shipments"), "where": lambda rng: _where(rng), "limit": slots.whole(5, 90, 5)},
        ("From the table {table}, get the rows where {where}.", "Get at most {limit} rows of the table {table} where {where}."),
    ),
    Offer(
        "plot_chart", "data", "Draws a chart.",
        {"kind": {"type": "string", "enum": ["line", "bar", "scatter"]}, "x": {"type": "array", "items": {"type": "number"}},
         "y": {"type": "array", "items": {"type": "number"}},
         "style": {"type": "object", "properties": {"title": {"type": "string"}, "grid": {"type": "boolean"}}}},
        ("kind", "x", "y"),
        {"kind": slots.plain("line", "bar", "scatter"), "x": slots.numbers(0, 20, 3, 3), "y": slots.numbers(0, 90, 3, 3),
         "style.title": slots.quoted("Growth", "Load over time", "Sales")},
        ("Draw a {kind} chart with x = {x} and y = {y}.",
         ("Draw a {kind} chart of x = {x}, y = {y}, titled {style.title}, with a grid.", {"style.grid": True})),
    ),
    Offer(
        "create_ticket", "support", "Opens a ticket.",
        {"title": {"type": "string"}, "severity": {"type": "integer", "minimum": 1, "maximum": 5},
         "labels": {"type": "array", "items": {"type": "string"}}, "assignee": {"type": ["string", "null"], "description": "null for nobody"}},
        ("title", "severity", "assignee"),
        {"title": slots.quoted("Login fails with 500", "Typo on the start page", "Printer jams", "VPN drops <every> hour"),
         "severity": slots.whole(1, 5), "labels": slots.some(("backend", "urgent", "ui", "network"), 2, 2), "assignee": slots.person},
        ("Open a ticket {title} with severity {severity}, assigned to {assignee}.",
         ("Open a ticket {title}, severity {severity}, labelled {labels} in that order, assigned to nobody.", {"assignee": None})),
        ("Open a ticket for me.",),
    ),
    Offer(
        "close_ticket", "support", "Closes a ticket.",
        {"ticket_id": {"type": "integer"}, "resolution": {"type": "string", "enum": ["fixed", "duplicate", "wont_fix"]}},
        ("ticket_id", "resolution"),
        {"ticket_id": slots.whole(1000, 99999), "resolution": slots.called(fixed="fixed", duplicate="a duplicate", wont_fix="something we won't fix")},
        ("Close ticket {ticket_id} as {resolution}.",),
        ("Close the ticket as fixed.",),
    ),
    Offer(
        "restart_service", "servers", "Restarts a service on a host.",
        {"host": {"type": "string"}, "service": {"type": "string"}, "grace_seconds": {"type": "integer", "default": 30}},
        ("host", "service"),
        {"host": slots.plain("web-01", "web-02", "db-main", "queue-3"), "service": slots.plain("nginx", "postgres", "redis", "worker"),
         "grace_seconds": slots.whole(5, 120, 5)},
        ("Restart {service} on {host}.", "Restart {service} on {host} with {grace_seconds} seconds of grace."),
        ("Restart the service.",),
    ),
    Offer(
        "scale_deployment", "servers", "Sets how many copies of a program run.",
        {"deployment": {"type": "string"}, "replicas": {"type": "integer", "minimum": 0},
         "limits": {"type": "object", "properties": {"cpu": {"type": "number", "description": "cores"}, "memory_mb": {"type": "integer"}},
                    "required": ["cpu", "memory_mb"]}},
        ("deployment", "replicas"),
        {"deployment": slots.plain("checkout", "search", "ingest"), "replicas": slots.whole(0, 40), "limits.cpu": slots.amount(1, 8, 1),
         "limits.memory_mb": slots.whole(256, 8192, 256)},
        ("Scale {deployment} to {replicas} replicas.",
         "Scale {deployment} to {replicas} replicas, each limited to {limits.cpu} cores and {limits.memory_mb} MB of memory."),
    ),
    Offer(
        "read_logs", "servers", "Reads the last lines of a log.",
        {"host": {"type": "string"}, "lines": {"type": "integer"}, "level": {"type": "string", "enum": ["debug", "info", "warning", "error"]}},
        ("host", "lines"),
        {"host": slots.plain("web-01", "web-02", "db-main", "queue-3"), "lines": slots.whole(10, 500, 10),
         "level": slots.plain("debug", "info", "warning", "error")},
        ("Show the last {lines} log lines of {host}.", "Show the last {lines} lines of level {level} from the log of {host}."),
    ),
)  # fmt: skip
"""The tools of these domains."""


def _where(rng: random.Random) -> tuple[str, Any]:
    conditions: list[dict[str, Any]] = []
    for column in rng.sample(("status", "total", "country", "weight"), rng.randint(1, 2)):
        if column in ("status", "country"):
            value: Any = rng.choice(
                ("open", "paid", "returned") if column == "status" else ("PT", "NO", "KE")
            )
            conditions.append({"column": column, "op": rng.choice(("=", "!=")), "value": value})
        else:
            conditions.append({"column": column, "op": rng.choice(("<", ">")), "value": rng.randint(1, 900)})
    said = [f"{one['column']} {one['op']} {one['value']}" for one in conditions]
    return " and ".join(said), conditions
