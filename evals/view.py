"""A log as one page of HTML that needs nothing else: headline, plots, and a browser of its samples.

What a model wrote is data there, and never markup: it is embedded as JSON in which `<` is an escape, reaches the page as text
nodes alone, and a content policy lets no script run but the page's own, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from dataforge.files import arriving
from evals.log import Log
from evals.summary import summarise

_LEFT_OUT = {"task", "cluster", "tools", "model", "prompt", "verify_s", "prompt_tokens"}
"""Of a sample, what the page does not show."""


def write_page(log: Log, path: Path) -> None:
    """Write the page of a log; whole or not at all.

    Raises:
        OSError: the disk refuses.
    """
    with arriving(path) as stream:
        stream.writelines(piece.encode("utf-8", "backslashreplace") for piece in _page(log))


def _page(log: Log) -> Iterator[str]:
    files = resources.files("evals") / "page"
    style, script = ((files / name).read_text(encoding="utf-8") for name in ("view.css", "view.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(log.task)}</title><style>{style}</style></head><body>"
    yield '<header><h1 id="title"></h1><div class="figures" id="figures"></div>'
    yield f"<details><summary>set-up</summary><pre>{escape(_setup(log))}</pre></details></header>"
    yield '<div class="plots" id="plots"></div><div class="filters" id="filters"></div>'
    yield '<main><div id="list" role="listbox" aria-label="samples"></div><article id="sample"></article></main>'
    yield '<script type="application/json" id="data">'
    yield from _data(log)
    yield f"</script><script>{script}</script></body></html>\n"


def _data(log: Log) -> Iterator[str]:
    """The log as JSON, a sample at a time; prompts are there once each."""
    prompts: dict[str, int] = {}
    yield f'{{"task":{_json(log.task)},"label":{_json(log.label)},"summary":{_json(summarise(log.samples).to_json())},"samples":['
    for number, sample in enumerate(log.samples):
        told: dict[str, Any] = sample.model_dump(mode="json", exclude=_LEFT_OUT, exclude_defaults=True)
        prompt = json.dumps(sample.prompt, ensure_ascii=False)
        told["prompt"] = prompts.setdefault(prompt, len(prompts))
        yield ("," if number else "") + _json(told)
    yield '],"prompts":['
    for number, prompt in enumerate(prompts):
        yield ("," if number else "") + _safe(prompt)
    yield "]}"


def _json(value: Any) -> str:
    return _safe(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _safe(text: str) -> str:
    """JSON in which nothing can end the element that it stands in."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _setup(log: Log) -> str:
    told = {key: value for key, value in log.manifest.items() if key != "summary"}
    return json.dumps(told, ensure_ascii=False, indent=2)
