"""The project around a `.forge` file: its root folder and what `dataforge.toml` there says.

In goes any path inside a project, out comes a frozen `Project`. Every other layer may read one, and this module knows
none of them. `[models.NAME]` tables are kept as they were written: what they mean for a logical model is decided in
`dataforge.models.binding`, which reads the same tables from a `--models` file too.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from dataforge.errors import ProjectError

PROJECT_FILE = "dataforge.toml"


def http_url(url: str) -> str:
    """The address of an API, as it came.

    Raises:
        ValueError: it is none, or holds more than an address should.
    """
    if not re.match(r"https?://[^/\s]+", url) or not _leads_somewhere(url):
        raise ValueError("an address starts with http:// or https://, such as http://127.0.0.1:8000/v1")
    if "?" in url or "#" in url:
        raise ValueError(
            "an address ends with its path, since what is asked of the API is put behind it: no `?`, no `#`"
        )
    if re.match(r"https?://[^/]*@", url):
        raise ValueError(
            "an address holds no user name or password; put the key in the variable that `api_key_env` names"
        )
    return url


def _leads_somewhere(url: str) -> bool:
    """Whether there is a host in it that can be looked up, and a port that can be one."""
    try:
        parts = urlsplit(url)
        return url.isprintable() and parts.port != 0 and bool((parts.hostname or "").encode("idna"))
    except ValueError:
        return False


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelTable(_Table):
    """One `[models.NAME]` table. None means that the table does not say, so a binding of lower rank may."""

    backend: str | None = None
    model: Annotated[str, Field(min_length=1)] | None = None
    base_url: (
        Annotated[
            tuple[Annotated[str, AfterValidator(http_url)], ...],
            BeforeValidator(_one_or_many),
            Field(strict=False, min_length=1),
        ]
        | None
    ) = None
    """One endpoint, or several that serve the same weights."""
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    weights: Annotated[str, Field(min_length=1)] | None = None
    path: str | None = None
    allow_link_local: bool | None = None
    """Whether an address may be link-local, where clouds keep their metadata and credentials."""

    concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """The most requests in flight at once, over all endpoints; how many really are adapts to what they bear."""
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    tokens_per_minute: Annotated[float, Field(gt=0)] | None = None
    prompt_price: Annotated[float, Field(ge=0)] | None = None
    completion_price: Annotated[float, Field(ge=0)] | None = None
    """Prices of a million tokens, in whatever currency `--budget-cost` is meant in."""
    mode: Literal["chat", "batch"] | None = None
    poll_s: Annotated[float, Field(gt=0)] | None = None
    stream: bool | None = None

    engine: Literal["sglang"] | None = None
    """Have the run launch a server of its own for the model, and stop it afterwards."""
    tensor_parallel: Annotated[int, Field(ge=1)] | None = None
    context_length: Annotated[int, Field(ge=1)] | None = None
    reasoning_parser: str | None = None
    tool_call_parser: str | None = None
    attention_backend: str | None = None
    engine_args: Annotated[tuple[str, ...], Field(strict=False)] | None = None

    temperature: Annotated[float, Field(ge=0, le=5)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: Annotated[tuple[str, ...], BeforeValidator(_one_or_many), Field(strict=False)] | None = None
    seed: int | None = None
    thinking_budget: Annotated[int, Field(ge=1)] | None = None
    """Tokens of thinking after which it is closed from outside, and the model made to answer."""

    connect_timeout_s: Annotated[float, Field(gt=0)] | None = None
    read_timeout_s: Annotated[float, Field(gt=0)] | None = None
    total_timeout_s: Annotated[float, Field(gt=0)] | None = None
    retry_base_s: Annotated[float, Field(gt=0)] | None = None
    rate_limit_wait_s: Annotated[float, Field(gt=0)] | None = None

    options: Mapping[str, Any] | None = None
    """Whatever a backend from another package takes beyond the keys above."""

    @property
    def names_endpoint(self) -> bool:
        """Whether the table says where the model is, or only how to ask it."""
        return any((self.backend, self.model, self.base_url, self.path, self.engine))


class _ProjectTable(_Table):
    name: Annotated[str, Field(min_length=1)] | None = None
    tokenizer: Annotated[str, Field(min_length=1)] = "simple"
    allow_python: Annotated[tuple[str, ...], Field(strict=False)] = ()
    allow_self_judging: bool = False


class _ProjectDocument(_Table):
    project: _ProjectTable = _ProjectTable()
    models: dict[str, ModelTable] = {}


class _ModelsDocument(_Table):
    models: dict[str, ModelTable]


@dataclass(frozen=True, slots=True)
class Project:
    """What holds for every `.forge` file below one folder.

    Attributes:
        root: the folder; `.forge` files import nothing from outside it.
        name: for people; the folder's name where the file gives none.
        tokenizer: `simple`, or the absolute path of a Hugging Face `tokenizer.json`.
        allow_python: packages outside the project that `.forge` files may import from.
        allow_self_judging: whether a judge may grade work of its own weights.
        models: the `[models.NAME]` tables, by name.
        file: the `dataforge.toml` that was read, or None where there is none.
    """

    root: Path
    name: str
    tokenizer: str = "simple"
    allow_python: tuple[str, ...] = ()
    allow_self_judging: bool = False
    models: Mapping[str, ModelTable] = field(default_factory=lambda: MappingProxyType({}))
    file: Path | None = None


def find_root(path: Path) -> Path:
    """The nearest folder at or above `path` that holds a `dataforge.toml`; without one, the folder of `path` itself."""
    path = path.resolve()
    folder = path if path.is_dir() else path.parent
    return next((up for up in (folder, *folder.parents) if (up / PROJECT_FILE).is_file()), folder)


def load_project(path: Path) -> Project:
    """The project that a `.forge` file or folder belongs to; all defaults where no `dataforge.toml` is found.

    Raises:
        ProjectError: the file cannot be read, is no TOML, or says something that DataForge does not know.
    """
    root = find_root(path)
    file = root / PROJECT_FILE
    if not file.is_file():
        return Project(root=root, name=root.name or "project")
    text, document = _read_toml(file)
    parsed = _validate(_ProjectDocument, document, text, file)
    told = parsed.project
    return Project(
        root=root,
        name=told.name or root.name or "project",
        tokenizer=_tokenizer(told.tokenizer, file),
        allow_python=told.allow_python,
        allow_self_judging=told.allow_self_judging,
        models=_anchored(parsed.models, root),
        file=file,
    )


def load_models_file(path: Path) -> Mapping[str, ModelTable]:
    """The `[models.NAME]` tables of a file given with `--models`; its relative paths start from its own folder."""
    text, document = _read_toml(path)
    parsed = _validate(_ModelsDocument, document, text, path)
    return _anchored(parsed.models, path.resolve().parent)


def nearest(name: str, known: Mapping[str, Any] | list[str] | tuple[str, ...]) -> str | None:
    """The known name that a mistyped one most likely meant."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def _read_toml(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ProjectError(
            f"{file}: cannot be read: {error.strerror or error}",
            help="check that the path is right and that you may read the file",
        ) from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ProjectError(
            f"{file}:{line}: is not UTF-8 text (byte {raw[error.start]:#04x} at offset {error.start})",
            help="save the file as UTF-8, which TOML asks for",
        ) from error
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, line = _toml_complaint(str(error), text)
        raise ProjectError(
            f"{file}:{line}: is not valid TOML: {what}",
            help=f"line {line} reads `{_source_line(text, line)}`; text needs quotes, tables read [models.writer]",
        ) from error
    except RecursionError as error:
        raise ProjectError(f"{file}: nests too deeply to be a project file", help="flatten it") from error


def _toml_complaint(message: str, text: str) -> tuple[str, int]:
    """Take the position out of tomllib's message; at the end of the document it gives none."""
    found = re.search(r"\s*\(at line (\d+), column (\d+)\)", message)
    if found is None:
        return re.sub(r"\s*\(at end of document\)", "", message), max(1, len(text.splitlines()))
    return f"{message[: found.start()]} (column {found[2]})", int(found[1])


def _source_line(text: str, line: int) -> str:
    lines = text.splitlines()
    shown = lines[line - 1].strip() if line <= len(lines) else ""
    # A key typed into the file by mistake must not travel into logs by way of an error message.
    return re.sub(r"(?i)((?:key|token|secret|password)\w*\s*=\s*).+", r"\1…", shown)[:120]


_Document = TypeVar("_Document", bound=BaseModel)


def _validate(shape: type[_Document], document: dict[str, Any], text: str, file: Path) -> _Document:
    try:
        return shape.model_validate(document)
    except ValidationError as error:
        # `include_input` is off: a value may be a key that someone typed into the wrong place.
        told = sorted(
            _complaint(item["loc"], item["type"], item["msg"], shape, text)
            for item in error.errors(include_url=False, include_input=False)
        )
    if len(told) == 1:
        line, message, hint = told[0]
        raise ProjectError(f"{file}:{line}: {message}", help=hint or f"mend {file.name} and start again")
    listed = "; ".join(
        f"line {line}: {message}" + (f" ({hint})" if hint else "") for line, message, hint in told
    )
    raise ProjectError(f"{file}: {listed}", help=f"mend {file.name} and start again")


def _complaint(
    loc: tuple[int | str, ...], kind: str, message: str, shape: type[BaseModel], text: str
) -> tuple[int, str, str]:
    """One of pydantic's errors as its line, a message, and a hint that is empty where there is none to give."""
    names = [str(part) for part in loc if not isinstance(part, int)]
    key, table = names[-1], names[:-1]
    line = _line_of(text, names)
    inside = f"[{'.'.join(table)}]" if table else "the file"
    if kind == "missing":
        return line, f"there is no `{key}` in {inside}", "a models file holds tables such as [models.writer]"
    if kind == "value_error":
        return line, f"`{key}` in {inside} is wrong: {message.removeprefix('Value error, ')}", ""
    if kind != "extra_forbidden":
        expected = re.sub(r"^(Input|String) should (be |have |match )?", r"", message).replace(
            "valid tuple", "list"
        )
        return line, f"`{key}` in {inside} is wrong; expected: {expected}", ""
    known = list(_table_shape(names, shape).model_fields)
    if names[0] == "models" and key in {"api_key", "key", "token"}:
        hint = 'keys do not belong in files: put it in an environment variable and name that: api_key_env = "MY_KEY"'
    elif (meant := nearest(key, known)) is not None:
        hint = f"did you mean `{meant}`?"
    else:
        hint = f"known here: {', '.join(known)}"
    return line, f"unknown key `{key}` in {inside}", hint


def _table_shape(names: list[str], shape: type[BaseModel]) -> type[BaseModel]:
    match names:
        case ["project", _]:
            return _ProjectTable
        case ["models", _, _]:
            return ModelTable
        case _:
            return shape


def _line_of(text: str, names: list[str]) -> int:
    """The line where a dotted key is written; its table's line, or 1, where it hides in an inline table."""
    table: list[str] = []
    best = (0, 1)
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\[?([^\]]+)\]", line):
            table = _dotted(header[1])
            here = table
        elif assigned := re.match(r"\s*([^=#]+?)\s*=", line):
            here = table + _dotted(assigned[1])
        else:
            continue
        if here == names[: len(here)] and len(here) > best[0]:
            best = (len(here), number)
    return best[1]


def _dotted(key: str) -> list[str]:
    return [part.strip().strip("\"'") for part in key.split(".")]


def _tokenizer(told: str, file: Path) -> str:
    if told == "simple":
        return told
    path = (file.parent / told).resolve()
    if not path.is_file():
        raise ProjectError(
            f"{file}: `tokenizer` names {path}, which is no file",
            help='give the path of a Hugging Face tokenizer.json, or "simple"',
        )
    return str(path)


def _anchored(tables: Mapping[str, ModelTable], folder: Path) -> Mapping[str, ModelTable]:
    """The tables with each relative `path` made absolute, so that it means the same from any working directory."""
    return MappingProxyType(
        {
            name: table.model_copy(update={"path": str((folder / table.path).resolve())})
            if table.path
            else table
            for name, table in tables.items()
        }
    )
