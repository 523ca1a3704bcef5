"""One self-contained page: the layout library, the style, the scripts and the data, all in one file, and no network.

In: a sheet. Out: HTML whose content security policy allows exactly these scripts and this style, by their hashes, and
nothing from elsewhere. Names, prompts and conditions of the program go in as JSON data, and the scripts only ever write
them as text; so nothing that an author or a model wrote can become markup.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from dataforge.plan.draw.counts import share_of, short_count
from dataforge.plan.draw.drawing import Drawing, Flow, common_name, shared_start
from dataforge.plan.draw.formats import Sheet
from dataforge.plan.draw.why import Why, why_of
from dataforge.plan.linked import SOURCE, TARGET

SUFFIXES = (".html", ".htm")
SCRIPTS = ("dagre.min.js", "facts.js", "layout.js", "scene.js", "panel.js", "page.js")
"""In the order in which they run."""


def draw(sheet: Sheet) -> str:
    """The whole page."""
    scripts = [_file(name) for name in SCRIPTS]
    style = _file("page.css")
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    data = json.dumps(document(sheet), separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "TITLE": html.escape(f"{sheet.drawing.name} · DataForge graph"),
        "POLICY": html.escape(policy),
        "STYLE": f"<style>{style}</style>",
        "LICENCE": html.escape(_file("dagre.LICENSE").replace("--", "- -")),
        "DATA": f'<script type="application/json" id="data">{data}</script>',
        "SCRIPTS": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    # One pass over the page's own text: what is put in is never searched for marks.
    return re.sub("@([A-Z]+)@", lambda mark: parts[mark[1]], _file("page.html"))


@functools.cache
def _file(name: str) -> str:
    return resources.files("dataforge.plan").joinpath("page", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


# ---- the data


def document(sheet: Sheet) -> dict[str, Any]:
    """What the page knows, as JSON: a list of levels, the main graph first, each with its boxes by number."""
    plan, levels = sheet.plan, list(sheet.drawing.levels())
    number = {level.path: n for n, level in enumerate(levels)}
    return {
        "name": sheet.drawing.name,
        "file": plan.path.name,
        "plan": plan.hash,
        "models": plan.document["models"],
        "prompts": plan.document["prompts"],
        "run": sheet.run,
        "levels": [_level(level, number, plan.document) for level in levels],
    }


def _level(drawing: Drawing, number: Mapping[str, int], plan: Mapping[str, Any]) -> dict[str, Any]:
    names = [*drawing.boxes, *drawing.cut]
    index = {name: n for n, name in enumerate(names)}
    total = drawing.counts.total
    prefix = f"{drawing.path}/" if drawing.path else ""
    ends = plan["graphs"][drawing.path] if drawing.path else plan["ends"]
    boxes: list[dict[str, Any]] = []
    for name, box in drawing.boxes.items():
        boxes.append(
            {
                "name": name,
                "path": box.path,
                "kind": box.kind,
                "doc": box.doc,
                "layer": box.layer,
                "walks": short_count(box.walks),
                "share": share_of(box.walks, total),
                "inner": number[box.path] if box.inner is not None else None,
                "card": _card(name, prefix + name, plan),
            }
        )
    for name, reason in drawing.cut.items():
        card = _card(name, prefix + name, plan)
        boxes.append(
            {"name": name, "path": prefix + name, "kind": "cut", "doc": card.get("doc", ""), "reason": reason}
            | {"card": card, "inner": None}
        )
    return {
        "path": drawing.path,
        "name": drawing.path or drawing.name,
        "doc": drawing.graph.doc,
        "walks": short_count(total),
        "ends": {key: ends[key] for key in ("from", "where", "to", "goal", "walk", "steps", "seeds", "emit")},
        "boxes": boxes,
        "arrows": [
            [
                index[tail],
                index[head],
                share_of(arrow.walks, total),
                short_count(arrow.walks),
                _flow(arrow.flow),
            ]
            for (tail, head), arrow in drawing.arrows.items()
        ],
        "stages": [
            {
                "boxes": [index[name] for name in sorted(stage, key=_natural)],
                "title": common_name(stage),
                "start": shared_start(stage),
                "takes": sorted(drawing.graph.members[stage[0]].takes),  # type: ignore[union-attr]
                "gives": sorted(drawing.graph.members[stage[0]].gives),  # type: ignore[union-attr]
            }
            for stage in drawing.stages
        ],
        "why": _why(why_of(drawing.linked), names),
    }


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that puts `ask_2` before `ask_10`."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def _card(name: str, path: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    if name in (SOURCE, TARGET):
        return {}
    if path in plan["nodes"]:
        return dict(plan["nodes"][path])
    inner = plan["graphs"].get(path, {})
    return {
        key: inner[key] for key in ("doc", "from", "where", "to", "goal", "nodes", "walk") if key in inner
    }


def _flow(flow: Flow | None) -> list[Any] | None:
    if flow is None:
        return None
    return [flow.kept, flow.rejected, flow.later, flow.tokens, dict(sorted(flow.reasons.items()))]


def _why(why: Why, names: list[str]) -> dict[str, Any]:
    """Masks as hexadecimal text, which the page reads as `BigInt`."""
    return {
        "literals": [[told.text, told.struct, told.used, told.term] for told in why.literals],
        "needs": [why.needs.get(name, ()) for name in names],
        "gains": [f"{why.gains.get(name, 0):x}" for name in names],
        "states": [[f"{known:x}" for known in alternatives] for alternatives in why.states],
        "after": [why.after.get(name, ()) for name in names],
    }
