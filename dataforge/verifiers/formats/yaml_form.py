"""YAML by libyaml's composer: scalars with their spelling, style and place; no aliases, no tags, no key twice.

Nothing is ever constructed from a tag. What is nested too deeply for the C parser, which recurses, is refused before it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from dataforge.verifiers.formats.form import CONTROL, Values
from dataforge.verifiers.formats.shape import (
    Bare,
    Path,
    Shape,
    quoted,
)
from dataforge.verifiers.formats.structured import NotWellFormed, Structured
from dataforge.verifiers.protocol import Span

YAML_DEPTH = 100
"""Brackets a YAML answer may open; the C parser recurses."""

_PLAIN = re.compile(r"[A-Za-z][\w ]*\w(?:[.!?])?", re.ASCII)
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))
_YAML_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_YAML_STANDARD = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


class Yaml(Structured):
    """A YAML document and nothing else.

    Args:
        shape: what it holds.
        style: how the last part must be written: `|` or `>` for block scalars; None for any way.
        flow: whether the outermost collection must be in flow style, with its keys unquoted.
        framed: whether the document must begin with `---` and end with `...`.
    """

    language = "YAML"

    def __init__(
        self, shape: Shape, style: str | None = None, flow: bool = False, framed: bool = False
    ) -> None:
        super().__init__(shape)
        self.style, self.flow, self.framed = style, flow, framed
        self._styled = self.slots[-1][1]

    def parse(self, text: str) -> tuple[Any, Callable[[Path], Span | None]]:
        nodes = compose_yaml(text)
        if len(nodes) != 1:
            raise NotWellFormed(f"there are {len(nodes)} documents")
        root = nodes[0]
        if self.framed:
            rows = text.strip().split("\n")
            if rows[0].rstrip() != "---" or rows[-1].rstrip() != "...":
                raise NotWellFormed("the document does not begin with `---` and end with `...`")
        if self.flow and not (
            getattr(root, "flow_style", False)
            and all(
                not getattr(key, "style", None)
                for key, _ in (root.value if isinstance(root, yaml.MappingNode) else ())
            )
        ):
            raise NotWellFormed("it is not in flow style with plain keys")
        spans: dict[Path, Span] = {}
        styles: dict[Path, str | None] = {}
        value = _yaml_value(root, (), spans, styles, set())
        if self.style is not None and styles.get(self._styled) != self.style:
            raise NotWellFormed(f"the value is not a block scalar after `{self.style}`")
        return value, spans.get

    def dump(self, value: Any, rng: random.Random | None) -> str:
        if self.flow:
            return _flow_yaml(value)
        made = _dump_yaml(value, 0, rng, self.style).lstrip("\n")
        if self.framed:
            return f"---\n{made}\n..."
        return made

    def refuses(self, values: Values) -> str:
        if why := super().refuses(values):
            return why
        if self.style is None:
            return ""
        text = values[self.slots[-1][0].part]
        if CONTROL.search(text) or text != text.strip():
            return "a block scalar does not keep white space at its ends, nor control characters"
        if self.style == ">" and "\n" in text:
            return "a folded scalar does not keep line ends"
        return ""

    def broken_syntax(self, text: str, rng: random.Random) -> Iterator[tuple[str, str]]:
        if not self.framed:
            yield "an unknown key after it", f"{text}\nmore: of this"
            yield "in a code fence", f"```yaml\n{text}\n```"
        else:
            yield "its end is missing", text.removesuffix("...")
            yield "a second document", f"{text}\n{text}"
        yield "text before it", f"Here is my answer\n{text}"
        if not self.flow and not self.framed:
            yield "a tab as indentation", f"\t{text}"
        if self.style is not None:
            yield "not a block scalar", _dump_yaml(yaml_of(self, text), 0, None, None).lstrip("\n")


def yaml_of(form: Yaml, text: str) -> Any:
    """The data of a text that the form itself wrote."""
    return form.parse(text)[0]


def compose_yaml(text: str) -> list[yaml.Node]:
    """The documents of a YAML text, as nodes.

    Raises:
        NotWellFormed: with what is wrong.
    """
    if text.count("[") + text.count("{") > 20_000 or _deep(text):
        raise NotWellFormed("it is nested too deeply")
    try:
        return [node for node in yaml.compose_all(text, Loader=yaml.CBaseLoader) if node is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it holds a character that YAML has not"
        raise NotWellFormed(f"{problem}{f' at line {mark.line + 1}' if mark else ''}") from None
    except (UnicodeEncodeError, RecursionError):
        raise NotWellFormed("it holds what YAML cannot hold") from None


def _deep(text: str) -> bool:
    """Whether a parser that recurses could fall over it: many openings at once, or many levels of indentation."""
    run = 0
    for char in text:
        if char in "[{":
            run += 1
            if run > YAML_DEPTH:
                return True
        elif char in "]}":
            run = max(0, run - 1)
    return bool(re.search(r"(?:[-?] ){50}", text))


def _yaml_value(
    node: yaml.Node, path: Path, spans: dict[Path, Span], styles: dict[Path, str | None], seen: set[int]
) -> Any:
    if id(node) in seen:
        raise NotWellFormed("it uses aliases")
    seen.add(id(node))
    if node.tag not in _YAML_STANDARD:
        raise NotWellFormed("it uses tags")
    if isinstance(node, yaml.ScalarNode):
        spans[path] = (node.start_mark.index, node.end_mark.index)
        styles[path] = node.style
        text = node.value
        if node.style in ("|", ">"):
            return text.strip("\n")
        if node.style:
            return text
        return None if text in _YAML_NULL else Bare(text)
    if isinstance(node, yaml.SequenceNode):
        return [_yaml_value(item, (*path, i), spans, styles, seen) for i, item in enumerate(node.value)]
    made: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise NotWellFormed("a key is not plain text")
        if key.value in made:
            raise NotWellFormed("a key is there twice")
        made[key.value] = _yaml_value(value, (*path, key.value), spans, styles, seen)
    return made


def _yaml_scalar(text: str, indent: int, rng: random.Random | None, style: str | None) -> str:
    if isinstance(text, Bare):
        return str(text)
    block_fits = text and text == text.strip() and not CONTROL.search(text)
    if style and block_fits and not (style == ">" and "\n" in text):
        inner = "\n".join(" " * (indent + 2) + line if line else "" for line in text.split("\n"))
        return f"{style}-\n{inner}"
    if rng is not None and block_fits:
        way = rng.random()
        if way < 0.3:
            return _yaml_scalar(text, indent, None, "|")
        if way < 0.5 and "\n" not in text:
            return "'" + text.replace("'", "''") + "'"
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return quoted(text)


def _dump_yaml(value: Any, indent: int, rng: random.Random | None, style: str | None) -> str:
    """Block style; what is nested begins with a line end."""
    pad = " " * indent
    if isinstance(value, str):
        return _yaml_scalar(value, indent - 2 if indent else 0, rng, style)
    if not value:
        return "[]"
    rows = []
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        head = f"{key}:" if isinstance(value, dict) else "-"
        inner = _dump_yaml(item, indent + 2, rng, style)
        if inner.startswith("\n") and head == "-":
            inner = inner[1 + indent + 2 :]
        rows.append(f"{pad}{head}{'' if inner.startswith(chr(10)) else ' '}{inner}")
    return "\n" + "\n".join(rows)


def _flow_yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow_yaml, value)) + "]"
    return str(value) if isinstance(value, Bare) else quoted(value)
