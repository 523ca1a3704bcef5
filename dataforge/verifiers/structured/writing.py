"""Values to text in the four languages: for prompts that show a document, and for cases made by construction.

With a generator, what may vary varies: indentation, escapes, flow and block, quoting. What is written reads back as the
same value; `carried` says whether a language can carry a value at all (TOML has no null in a list, XML no control
character).
"""

from __future__ import annotations

import json
import random
from typing import Any

from dataforge.verifiers.structured.markup import write_xml
from dataforge.verifiers.structured.reading import Output, plain, read
from dataforge.verifiers.structured.unreadable import Unreadable
from dataforge.verifiers.structured.validation import Compiled
from dataforge.verifiers.structured.values import same


def write(value: Any, output: Output, root: str = "document", rng: random.Random | None = None) -> str:
    """A document of a value, without a last newline.

    Raises:
        Unreadable: the language cannot carry the value.
    """
    if output == "json":
        return _json(value, rng)
    if output == "yaml":
        return _yaml(value, rng)
    if output == "toml":
        return _toml(value, rng)
    return write_xml(value, root or "document", rng)


def carried(value: Any, output: Output, compiled: Compiled, root: str = "document") -> str | None:
    """A document that reads back as the value, or None where the language cannot carry it."""
    try:
        text = write(value, output, root)
        return text if same(read(text, output, compiled, root), value) else None
    except Unreadable:
        return None


def _json(value: Any, rng: random.Random | None) -> str:
    if rng is None:
        return json.dumps(value, ensure_ascii=False, indent=2)
    indent = rng.choice((None, 2, 2, 4, "\t"))
    separators = (",", ":") if indent is None and rng.random() < 0.5 else None
    return json.dumps(value, ensure_ascii=rng.random() < 0.3, indent=indent, separators=separators)


def _yaml(value: Any, rng: random.Random | None) -> str:
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        """Quotes whatever another reading than ours, or ours, would take for more than a text."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, data: str) -> Any:
        style = None
        if not _is_text(data) or (rng is not None and rng.random() < 0.2):
            style = '"'
        elif "\n" in data and data.strip() == data and rng is not None and rng.random() < 0.5:
            style = "|"
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    Dumper.add_representer(str, text)
    flow = rng.choice((False, False, False, None)) if rng is not None else False
    out = yaml.dump(
        value,
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=flow,
        indent=rng.choice((2, 2, 4)) if rng is not None else 2,
        width=rng.choice((80, 10_000)) if rng is not None else 10_000,
        explicit_start=rng is not None and rng.random() < 0.15,
    )
    return str(out).removesuffix("\n")


def _is_text(data: str) -> bool:
    try:
        return isinstance(plain(data), str)
    except Unreadable:
        return False


def _toml(value: Any, rng: random.Random | None) -> str:
    import tomli_w

    try:
        multiline = rng is not None and rng.random() < 0.3
        if multiline and "\\r" in json.dumps(value):
            multiline = False  # it would write the character itself, which reads back as a plain line break
        return str(tomli_w.dumps(_without_null(value), multiline_strings=multiline)).rstrip("\n")
    except (TypeError, ValueError) as problem:
        raise Unreadable(f"TOML cannot carry it: {problem}") from problem


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        if any(item is None for item in value):
            raise Unreadable("TOML has no null in a list")
        return [_without_null(item) for item in value]
    return value
