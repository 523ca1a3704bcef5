"""The tables of a TOML file as frozen dataclasses: every key known, of its type and within its bounds; and back again.

`trainer.config` is one set of tables, `trainer.length.settings` another.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dataforge.errors import InputError
from dataforge.project import nearest

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}


@dataclass(frozen=True)
class Tables:
    """What a file may say.

    Attributes:
        sections: name of a table → its dataclass, whose fields are int, float, bool, str, a `Literal`, or a tuple of int
            or str.
        bounds: `table.key` → least and largest value, both allowed, also of each item of a tuple.
        code: of errors.
        page: of the documentation, which lists every key.
        types: `table.key` → type: every key there is.
    """

    sections: Mapping[str, type[Any]]
    bounds: Mapping[str, tuple[float, float]]
    code: str
    page: str
    types: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        types = {
            f"{name}.{key}": annotation
            for name, section in self.sections.items()
            for key, annotation in get_type_hints(section).items()
        }
        object.__setattr__(self, "types", types)

    def parse(self, file: Path) -> dict[str, Any]:
        """The document in a file, whatever is in it.

        Raises:
            InputError: it cannot be read, or is no TOML.
        """
        try:
            return tomllib.loads(file.read_bytes().decode())
        except OSError as error:
            raise self.wrong(
                f"{file}: cannot be read: {error.strerror or error}",
                "check that the path is right and that you may read the file",
            ) from error
        except (ValueError, RecursionError) as error:
            raise self.wrong(f"{file}: is no TOML: {error}", f"{self.page} shows a whole file") from error

    def values(self, document: Mapping[str, Any], source: str) -> dict[str, Any]:
        """The values of a document by dotted key, each known and of its type.

        Args:
            source: of the document, for errors.

        Raises:
            InputError: a table or key is unknown, or a value is not what it should be.
        """
        found = {}
        for name, table in document.items():
            if name not in self.sections:
                raise self.wrong(f"{source}: there is no table [{name}]", meant(name, tuple(self.sections)))
            if not isinstance(table, dict):
                raise self.wrong(
                    f"{source}: `{name}` must be a table", f"write it as [{name}], its keys below it"
                )
            for key, value in table.items():
                found[f"{name}.{key}"] = self._typed(f"{name}.{key}", value, source)
        return found

    def assignment(self, text: str) -> dict[str, Any]:
        """The key and value of one `--set`.

        Raises:
            InputError: it is none, or one that `values` would refuse.
        """
        key, equals, raw = text.partition("=")
        key, raw = key.strip(), raw.strip()
        if not equals:
            raise self.wrong(
                f"--set {text}: there is no `=` in it",
                "write table.key=value, such as --set optimizer.lr=1e-5",
            )
        self._check_key(key, "--set")
        try:
            document = tomllib.loads(f"value = {raw}")
        except (ValueError, RecursionError):
            document = {}
        # A line break in it would begin another key.
        value = document["value"] if len(document) == 1 else raw
        kind = self.types[key]
        wants_text = kind is str or get_origin(kind) is Literal
        if wants_text and not isinstance(value, str):
            value = raw
        if get_origin(kind) is tuple and not isinstance(value, list):
            value = [raw if get_args(kind)[0] is str and not isinstance(value, str) else value]
        return {key: self._typed(key, value, "--set")}

    def build(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Each table as its dataclass; keys without a value have their defaults."""
        return {
            name: section(
                **{k: values[f"{name}.{k}"] for k in keys(section) if f"{name}.{k}" in values},
            )
            for name, section in self.sections.items()
        }

    def flat(self, tree: Any) -> dict[str, Any]:
        """Every key of a tree with its value, as `optimizer.lr` → 1e-5."""
        return {key: getattr(getattr(tree, key.split(".")[0]), key.split(".")[1]) for key in self.types}

    def to_toml(self, tree: Any) -> str:
        """A tree as a file with the same values."""
        found = self.flat(tree)
        tables = (
            f"[{name}]\n" + "".join(f"{key} = {_toml(found[f'{name}.{key}'])}\n" for key in keys(section))
            for name, section in self.sections.items()
        )
        return "\n".join(tables)

    def wrong(self, message: str, help: str) -> InputError:
        return InputError(message, code=self.code, help=help)

    def _check_key(self, key: str, source: str) -> None:
        if key in self.types:
            return
        leaf = key.rpartition(".")[2]
        elsewhere = [known for known in self.types if known.endswith(f".{leaf}")]
        name = key.partition(".")[0]
        near = tuple(known for known in self.types if known.startswith(f"{name}.")) or tuple(self.types)
        help = f"did you mean `{elsewhere[0]}`?" if elsewhere else meant(key, near)
        raise self.wrong(f"{source}: there is no key `{key}`", help)

    def _typed(self, key: str, value: Any, source: str) -> Any:
        """The value as its field takes it: known key, right type, within bounds."""
        self._check_key(key, source)
        wanted = self.types[key]
        if get_origin(wanted) is tuple:
            item = get_args(wanted)[0]
            if isinstance(value, list) and all(type(each) is item for each in value):
                return tuple(self._bounded(key, each, item, source) for each in value)
            what, form = ("whole numbers", "[96, 192]") if item is int else ("strings", '["…", "…"]')
            raise self.wrong(
                f"{source}: `{key}` must be a list of {what}, not {value!r}", f"as {key} = {form}"
            )
        if get_origin(wanted) is Literal:
            choices = get_args(wanted)
            if value in choices:
                return value
            listed = ", ".join(choices)
            raise self.wrong(
                f"{source}: `{key}` must be one of {listed}, not {value!r}", meant(str(value), choices)
            )
        return self._bounded(key, value, wanted, source)

    def _bounded(self, key: str, value: Any, wanted: Any, source: str) -> Any:
        expected = _WORDS[wanted]
        fits = type(value) is wanted or (wanted is float and type(value) is int)
        if fits and key in self.bounds:
            least, most = self.bounds[key]
            fits, expected = least <= value <= most, f"from {least:,} to {most:,}"
        if not fits:
            raise self.wrong(
                f"{source}: `{key}` must be {expected}, not {value!r}", f"{self.page} lists every key"
            )
        return wanted(value)


def keys(section: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(section))


def meant(word: str, known: Sequence[str]) -> str:
    """A hint at the known word that a mistyped one most likely meant."""
    near = nearest(word, list(known))
    return f"did you mean `{near}`?" if near else f"there are {', '.join(known)}"


def _toml(value: Any) -> str:
    """A value as TOML writes it. A JSON string is a TOML string, but for DEL, which TOML wants escaped."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
