"""The words of the language, a line each: what an editor says of a keyword, a setting, a measure or a filter.

A test holds these tables to the grammar: a keyword that is added there must be explained here.
"""

from __future__ import annotations

from collections.abc import Mapping

KEYWORDS: Mapping[tuple[str, str], str] = {
    ("", "forge"): "`forge 1`: the version of the language in which the file is written.",
    (
        "",
        "from",
    ): "`from origin import names`: structs of a Python module, or names of another `.forge` file.",
    ("", "import"): "The names to import, each perhaps `as` another.",
    ("", "as"): "The name that it gets in this file.",
    ("", "struct"): "`struct NAME { field: type … }`: a type of record that nodes take and give.",
    (
        "",
        "generator",
    ): "`generator NAME { settings }`: a model that writes; the project file binds it to a real one.",
    ("", "judge"): "`judge NAME { settings }`: a model that grades.",
    ("", "list"): '`list NAME from "file"` or `= [ … ]`: entries that a node may `draw`.',
    ("", "rubric"): '`rubric NAME { criterion "what" in 1..5 … accept condition }`: what a judge judges by.',
    (
        "",
        "predicate",
    ): '`predicate NAME(Struct, …) = "module:function"`: a yes-or-no function for conditions.',
    (
        "",
        "node",
    ): "`node NAME { clauses }`: an action. What it requires and guarantees decides where it is linked.",
    ("", "graph"): "`graph NAME { from … to … nodes … }`: every way from a source to a target.",
    (
        "",
        "example",
    ): "`example NAME { given … model … expect … }`: one case of a node or graph, with answers written down.",
    ("", "all"): "Every model call of the node becomes a training row.",
    ("", "final"): "The last model call of the node becomes a training row.",
    ("", "none"): "No model call of the node becomes a training row.",
    ("", "and"): "Both conditions hold. A comma says the same.",
    ("", "or"): "At least one of the conditions holds.",
    ("", "not"): "The condition does not hold.",
    ("", "in"): "The value is within a range `1..5`, or one of `{ … }`.",
    ("", "has"): "`has Struct.field`: it is there and not null.",
    ("", "file"): "The text is in a file, relative to this one.",
    ("", "true"): "Yes.",
    ("", "false"): "No.",
    ("", "null"): "Nothing there.",
    ("rubric", "accept"): "What a verdict must fulfil, over the criteria and their mean `score`.",
    ("node", "takes"): "Structs that must be there before the node runs.",
    ("node", "gives"): "Structs that the node writes anew. `many` makes several rows of one.",
    ("node", "many"): "Several results: one row becomes as many.",
    ("node", "pre"): "What must hold before the node runs.",
    ("node", "post"): "What the node guarantees: checked after each run, and what other nodes may rely on.",
    ("node", "keeps"): "Fields of a given struct that stay as they were.",
    ("node", "draw"): "`draw NAME from LIST`: one entry, chosen by the row's seed, for the prompts.",
    ("node", "set"): "`set Struct.field = value`: a constant or another field's value.",
    ("node", "ask"): "`ask MODEL { prompt … into Struct.field }`: have a generator write.",
    ("node", "call"): '`call "module:function"`: a Python function from structs to structs.',
    ("node", "judge"): "`judge MODEL { rubric … }`: have the work graded, and improved until it passes.",
    (
        "node",
        "verify",
    ): "`verify VERIFIER(facts) { samples N  keep best }`: check the answer, and keep the samples that pass.",
    ("node", "branch"): "After the node, go on by the value that this field turned out to have.",
    ("node", "else"): "`else reject`: outcomes that lead nowhere reject the row.",
    ("node", "reject"): "Outcomes that lead nowhere reject the row.",
    ("node", "retry"): "Further attempts where the outcome breaks the contract: 0 to 100, else 2.",
    ("node", "weight"): "How often `walk weighted` takes the node, relative to others.",
    ("node", "train"): "Which of the node's model calls become training rows: `all`, `final` or `none`.",
    ("graph", "from"): "What a seed gives: structs, and what holds of them.",
    ("graph", "to"): "What a finished row has: structs, and what holds of them.",
    ("graph", "where"): "What holds of the structs there.",
    ("graph", "nodes"): "The members: `*` for every node of the file, or names of nodes and graphs.",
    ("graph", "except"): "Members to leave out.",
    ("graph", "walk"): "How paths are drawn: `uniform`, `weighted` or `cover`.",
    ("graph", "uniform"): "Every path is equally likely.",
    ("graph", "weighted"): "A path is as likely as the product of its nodes' weights.",
    ("graph", "cover"): "Every edge is used as evenly as can be.",
    ("graph", "steps"): "How many nodes a walk may have, such as `1..4`.",
    ("graph", "seeds"): "Files of seeds, relative to this one.",
    (
        "graph",
        "emit",
    ): "How a finished row becomes a training sample: turns, or a field that is a list of messages.",
    ("graph", "system"): "A turn of the sample: what the system prompt says.",
    ("graph", "user"): "A turn of the sample: what the user says.",
    ("graph", "assistant"): "A turn of the sample: what the model learns to say.",
    ("graph", "tool"): "A turn of the sample: what a tool returned.",
    ("graph", "reasoning"): "The field that holds the turn's reasoning.",
    ("example", "given"): "`given Struct { field = value … }`: what is there at the beginning.",
    ("example", "model"): '`model NAME says "…"`: what a model answers, the next time it is asked.',
    ("example", "says"): "What the model answers.",
    ("example", "reasoning"): "What the model thinks before it answers.",
    ("example", "walk"): "Which walk of the graph the example takes, by the names of its nodes.",
    ("example", "expect"): "What must hold at the end; or `reject`, where the row is turned away.",
    ("example", "reject"): "The row is rejected, for a reason that contains this text.",
}
"""Keyword → what it does, by the item in which it stands; an empty item for all."""

SETTINGS: Mapping[str, str] = {
    "prompt": 'What the model is told: a Jinja template, in place or `file "…"`.',
    "system": "The system prompt: a Jinja template.",
    "into": "The field that the answer goes into.",
    "json": "The struct that the answer is read as.",
    "reasoning": "The field that the model's thinking goes into.",
    "rubric": "What the judge judges by.",
    "score": "The field that the mean of the verdict goes into.",
    "rounds": "How often the work may be improved before the row is rejected: 0 to 20, else 2.",
    "thinking": "Whether the model reasons first: `on`, `off` or `auto`.",
    "temperature": "How freely the model writes: a number from 0 to 5.",
    "top_p": "The share of likely words that the model picks from: above 0 and up to 1.",
    "max_tokens": "The longest answer, in tokens.",
    "seed": "A whole number that makes the model's choices repeatable, where it can.",
    "stop": "A text, or a list of texts, at which the answer ends.",
}

SETTINGS_OF: Mapping[str, tuple[str, ...]] = {
    "ask": ("prompt", "system", "into", "json", "reasoning", "thinking"),
    "judge": ("rubric", "score", "rounds", "prompt", "thinking"),
    "model": ("thinking",),
}
SAMPLING = ("temperature", "top_p", "max_tokens", "seed", "stop")

MEASURES: Mapping[str, str] = {
    "words": "`words(Struct.field)`: how many words a text has.",
    "chars": "`chars(Struct.field)`: how many characters a text has.",
    "lines": "`lines(Struct.field)`: how many lines a text has.",
    "tokens": "`tokens(Struct.field)`: how many tokens a text has, by the project's tokenizer.",
    "len": "`len(Struct.field)`: how many entries a list has, or characters a text.",
    "matches": '`matches(Struct.field, "pattern")`: whether a regular expression is found in a text.',
}

FILTERS: Mapping[str, str] = {
    "capitalize": "First letter large, the others small.",
    "first": "The first entry.",
    "join": "The entries of a list, joined by a text.",
    "last": "The last entry.",
    "length": "How many entries or characters.",
    "lower": "All letters small.",
    "reverse": "Back to front.",
    "sort": "In order.",
    "title": "Every word's first letter large.",
    "tojson": "As JSON.",
    "trim": "Without white space at the ends.",
    "truncate": "Cut to a length.",
    "unique": "Each entry once.",
    "upper": "All letters large.",
    "wordcount": "How many words.",
}
