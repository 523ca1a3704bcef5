"""Read a corpus back: its manifest, and its rows one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dataforge.corpus.layout import FOLDERS, MANIFEST
from dataforge.errors import OutputError
from dataforge.run.local import RUN_NAME
from dataforge.run.output import REJECTED, TRAIN
from schemas.corpus import Row


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a corpus.

    Raises:
        OutputError: R023, where the directory holds no whole corpus.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if (directory / RUN_NAME).exists():
            raise OutputError(
                f"{directory} holds a run that has not finished",
                code="R023",
                help="start the same `dataforge run` command again: it goes on where it stopped",
            ) from error
        raise OutputError(
            f"{directory} is no corpus: it has no {MANIFEST}",
            code="R023",
            help="name the --out directory of a run",
        ) from error
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{directory / MANIFEST} cannot be read: {error}", code="R023", help="run the same command again"
        ) from error
    if (
        not isinstance(manifest, dict)
        or "plan" not in manifest
        or not isinstance(manifest.get("files"), dict)
    ):
        raise OutputError(
            f"{directory / MANIFEST} is no manifest of a corpus", code="R023", help="name the --out of a run"
        )
    return manifest


def read_rows(directory: Path, *, rejected: bool = False) -> Iterator[Row]:
    """The rows of a corpus, in order, streamed.

    Raises:
        OutputError: R023, where the directory holds no whole corpus.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = FOLDERS[REJECTED if rejected else TRAIN]
    # By the manifest, not by what lies there: a shard that is missing is damage, not a shorter corpus.
    names = sorted(name for name in read_manifest(directory)["files"] if name.startswith(f"{folder}/"))
    for path in (directory / folder / Path(name).name for name in names):
        try:
            for batch in pq.ParquetFile(path).iter_batches(batch_size=256):
                for data in batch.to_pylist():
                    for message in data["messages"]:
                        if message["tool_calls"] is not None:
                            message["tool_calls"] = [json.loads(call) for call in message["tool_calls"]]
                    yield Row.model_validate(data)
        except (OSError, pa.ArrowException, KeyError, TypeError, ValidationError) as error:
            raise OutputError(
                f"{path} is damaged: {error}", code="R023", help="run the same command again"
            ) from error
