"""From the logical names of a `.forge` file to `ModelSpec`s: which model each one is, and who said so.

For each name the sources are asked in order: the `--models` file, `dataforge.toml`, the environment, the embedded
default; within a file the table of the exact name comes before the table of the kind (`generator` or `judge`). The
first source that names an endpoint settles which model it is. Sources before it may set how it is asked (temperature
and so on), sources after it are not read, and what the `.forge` file itself sets fills the gaps that remain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from dataforge.errors import ProjectError
from dataforge.models import find_backend
from dataforge.models.client import ChatRequest, CompletionRequest, Kind, ModelSpec, Sampling
from dataforge.models.weights import EXPORT, gguf_file, identity
from dataforge.project import ModelTable, Project, load_models_file, nearest

EMBEDDED_GENERATOR = "smollm2-135m-instruct"
EMBEDDED_JUDGE = "minilm-judge"

CONCURRENCY, BATCH_CONCURRENCY = 16, 10_000
"""Requests in flight where a binding says nothing. Those of a batch wait for hours, and so should go together."""

_SAMPLING = ("temperature", "top_p", "max_tokens", "stop", "seed", "thinking_budget")
_OPTIONS = (
    "base_url", "api_key_env", "path", "connect_timeout_s", "read_timeout_s", "total_timeout_s", "retry_base_s",
    "rate_limit_wait_s", "allow_link_local", "requests_per_minute", "tokens_per_minute", "prompt_price",
    "completion_price", "poll_s", "stream", "tensor_parallel", "context_length", "reasoning_parser",
    "tool_call_parser", "attention_backend", "engine_args",
)  # fmt: skip
_MODEL_VARIABLE: Mapping[Kind, str] = {"generator": "DATAFORGE_MODEL", "judge": "DATAFORGE_JUDGE_MODEL"}
DEFAULT = "default"
"""The origin of a binding that nobody wrote: an embedded model."""

_EMBEDDED: Mapping[Kind, ModelTable] = {
    "generator": ModelTable(backend="local", model=EMBEDDED_GENERATOR, concurrency=8),
    "judge": ModelTable(backend="local", model=EMBEDDED_JUDGE, concurrency=2),
}
_HTTP_BACKENDS = ("openai", "openai_sdk", "openai_batch")
"""Backends that go to OpenAI where no address is given."""
_OPENAI_KEY = "OPENAI_API_KEY"

_Request = TypeVar("_Request", ChatRequest, CompletionRequest)


@dataclass(frozen=True, slots=True)
class _Source:
    """One place that may speak about a logical name, how messages call it, and where its relative paths start."""

    origin: str
    table: ModelTable
    folder: Path = Path()


@dataclass(frozen=True, slots=True)
class SelfJudging:
    """A judge that grades work of its own weights, which the project allowed."""

    judge: str
    generator: str
    node: str
    weights: str


def bind(
    models: Sequence[tuple[str, Kind, Mapping[str, Any]]],
    project: Project,
    models_file: Path | None,
    environ: Mapping[str, str],
) -> dict[str, ModelSpec]:
    """Bind every logical model of a plan.

    Args:
        models: name, kind and the settings that the `.forge` file gives in the model's block.
        project: whose `[models.*]` tables count.
        models_file: the file of `--models`, or None.
        environ: the environment; read for names of models and for whether a key is there, never for a key's value.

    Raises:
        ProjectError: a file is wrong (R001), a backend does not exist (R002), or a key's variable is not set (R004).
    """
    tables = load_models_file(models_file) if models_file is not None else {}
    bound = {}
    for name, kind, settings in models:
        sources = [
            *_from_file(
                f"--models {models_file}", tables, name, kind, (models_file or Path()).resolve().parent
            ),
            *_from_file("dataforge.toml", project.models, name, kind, project.root),
            *_from_environment(kind, environ),
            _Source(DEFAULT, _EMBEDDED[kind]),
        ]
        bound[name] = _spec(name, kind, sources, _forge_settings(name, settings), environ)
    return bound


def with_defaults(request: _Request, spec: ModelSpec) -> _Request:
    """The request with the binding's sampling wherever it says nothing itself.

    Whoever keys calls by content applies this first, so that another temperature in `dataforge.toml` is another call.
    """
    own, bound = request.sampling, spec.sampling
    most = bound.max_tokens if own.max_tokens is None else own.max_tokens
    if own.at_most is not None:
        most = own.at_most if most is None else min(most, own.at_most)
    seed = bound.seed if own.seed is None else own.seed
    merged = Sampling(
        temperature=bound.temperature if own.temperature is None else own.temperature,
        top_p=bound.top_p if own.top_p is None else own.top_p,
        max_tokens=most,
        stop=own.stop or bound.stop,
        seed=None if seed is None else seed + own.seed_shift,
        thinking_budget=bound.thinking_budget if own.thinking_budget is None else own.thinking_budget,
    )
    return request if merged == own else request.sampled(merged)


def check_independence(
    specs: Mapping[str, ModelSpec], graded: Iterable[tuple[str, str, str]], allow_self_judging: bool
) -> tuple[SelfJudging, ...]:
    """Hold judges to grading no homework of their own.

    Args:
        specs: the bindings.
        graded: (judge, generator, node) for each judge that grades a generator's work, with the node where it does.
        allow_self_judging: what the project file says.

    Returns:
        What was allowed and the corpus card must say; empty where every judge is independent.

    Raises:
        ProjectError: with code R003, where it happens and is not allowed.
    """
    found = tuple(
        SelfJudging(judge, generator, node, specs[judge].weights)
        for judge, generator, node in graded
        if specs[judge].weights.casefold() == specs[generator].weights.casefold()
    )
    if found and not allow_self_judging:
        first = found[0]
        more = f" (and {len(found) - 1} more such)" if len(found) > 1 else ""
        raise ProjectError(
            f"judge `{first.judge}` would grade the work of generator `{first.generator}` in node `{first.node}`, "
            f"and both are the same weights, {first.weights}{more}",
            code="R003",
            help=f"bind `{first.judge}` to another model in dataforge.toml, or write `allow_self_judging = true` "
            "under [project]: the corpus card will then say so",
        )
    return found


def _from_file(
    origin: str, tables: Mapping[str, ModelTable], name: str, kind: Kind, folder: Path
) -> list[_Source]:
    keys = dict.fromkeys((name, kind))
    return [_Source(f"{origin} [models.{key}]", tables[key], folder) for key in keys if key in tables]


def _from_environment(kind: Kind, environ: Mapping[str, str]) -> list[_Source]:
    """A model from the environment, which only its own variable asks for: a key lying about moves nothing."""
    variable = _MODEL_VARIABLE[kind]
    model = environ.get(variable, "").strip()
    if not model:
        return []
    return [_Source("environment", ModelTable(backend="openai", model=model))]


def _forge_settings(name: str, settings: Mapping[str, Any]) -> ModelTable:
    for key in settings:
        if key not in _SAMPLING:
            meant = nearest(key, _SAMPLING)
            raise ProjectError(
                f"model `{name}` sets `{key}` in the .forge file, which is no setting of a model",
                help=(f"did you mean `{meant}`? " if meant else "") + f"settings: {', '.join(_SAMPLING)}",
            )
    try:
        return ModelTable.model_validate(dict(settings))
    except ValidationError as error:
        told = error.errors()[0]
        raise ProjectError(
            f"model `{name}` has a wrong setting `{told['loc'][0]}` in the .forge file: {told['msg']}",
            help=f"settings: {', '.join(_SAMPLING)}",
        ) from error


def _spec(
    name: str, kind: Kind, sources: Sequence[_Source], forge: ModelTable, environ: Mapping[str, str]
) -> ModelSpec:
    count = next(i for i, source in enumerate(sources, start=1) if source.table.names_endpoint)
    endpoint = sources[count - 1]
    heard = [source.table for source in sources[:count]]

    def told(key: str) -> Any:
        return next((value for table in heard if (value := getattr(table, key)) is not None), None)

    table, origin = endpoint.table, endpoint.origin
    backend = table.backend or _backend(table, told("mode"))
    find_backend(backend, origin=origin)
    model = table.model or _default_model(backend, kind, name, origin)
    options = {key: value for key in _OPTIONS if (value := told(key)) is not None}
    if backend in _HTTP_BACKENDS:
        _complete_address(name, options, origin, environ)
    weights = model
    if backend == "local" and model not in (EMBEDDED_GENERATOR, EMBEDDED_JUDGE):
        file = _local_file(name, model, endpoint)
        options["path"], weights = str(file), identity(file)
    sampling = {
        key: value
        for key in _SAMPLING
        if (value := next((v for t in (*heard, forge) if (v := getattr(t, key)) is not None), None))
        is not None
    }
    return ModelSpec(
        name=name,
        kind=kind,
        backend=backend,
        model=model,
        weights=told("weights") or weights,
        sampling=Sampling(**sampling),
        concurrency=told("concurrency") or (BATCH_CONCURRENCY if backend == "openai_batch" else CONCURRENCY),
        options=MappingProxyType(options | dict(told("options") or {})),
        origin=origin,
    )


def _backend(table: ModelTable, mode: str | None) -> str:
    """The backend of a table that names none."""
    if table.engine is not None:
        return table.engine
    if table.path and not table.model and not table.base_url:
        return "replay"
    return "openai_batch" if mode == "batch" else "openai"


def _default_model(backend: str, kind: Kind, name: str, origin: str) -> str:
    if backend == "local":
        return _EMBEDDED[kind].model or ""
    if backend == "replay":
        return f"replay-{name}"
    raise ProjectError(
        f"{origin} binds `{name}` to the backend `{backend}` but names no model",
        help='add model = "…", the name that the endpoint knows it by',
    )


def _local_file(name: str, model: str, source: _Source) -> Path:
    """The GGUF file of a local model: its content is its identity, since training again gives the same path new weights."""
    place = source.folder / Path(model).expanduser()
    file = gguf_file(place)
    if file is None:
        raise ProjectError(
            f"{source.origin} binds `{name}` to the local model `{model}`, and there is no GGUF file at {place}",
            code="R002",
            help=f"{EXPORT}; embedded are `{EMBEDDED_GENERATOR}` and `{EMBEDDED_JUDGE}`",
        )
    return file.resolve()


def _complete_address(name: str, options: dict[str, Any], origin: str, environ: Mapping[str, str]) -> None:
    """Give a binding that names no address the one that OpenAI's own client would use, and see that its key is there.

    The environment's address and key belong together, and OpenAI's address needs a key. An address that the binding
    names itself gets a key only where the binding names its variable too: one party's key is not sent to another.
    """
    if "base_url" not in options:
        if base_url := environ.get("OPENAI_BASE_URL", "").strip():
            options["base_url"] = (_checked_address(base_url),)
        if environ.get(_OPENAI_KEY) or not base_url:
            options.setdefault("api_key_env", _OPENAI_KEY)
    variable = options.get("api_key_env")
    if variable is not None and not environ.get(variable, "").strip():
        raise ProjectError(
            f"`{name}` needs a key in the environment variable {variable} ({origin}), which is not set",
            code="R004",
            help=f"export {variable}=… and start again, or bind `{name}` to a model that needs none",
        )


def _checked_address(base_url: str) -> str:
    try:
        ModelTable(base_url=(base_url,))
    except ValidationError as error:
        raise ProjectError(
            f"the environment variable OPENAI_BASE_URL is wrong: {error.errors()[0]['msg'].removeprefix('Value error, ')}",
            help="set it to the endpoint's address, or unset it",
        ) from error
    return base_url
