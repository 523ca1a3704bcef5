"""A page of HTML that needs nothing else: how packed sets and runs are shown to people."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
img { width: 100% }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .2rem 1.5rem .2rem 0; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; overflow-wrap: anywhere }
th { font-weight: normal; color: #666; white-space: nowrap }
"""


def page(title: str, *parts: str) -> bytes:
    """A page with a heading, and parts of HTML below it."""
    name = html.escape(title)
    body = "\n".join(part for part in parts if part)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}</title>
<style>{_STYLE}</style>
<h1>{name}</h1>
{body}
</html>
""".encode()


def table(rows: Iterable[tuple[object, ...]]) -> str:
    """Rows of cells, as text; the first cell of each is its name."""

    def line(first: object, *rest: object) -> str:
        cells = "".join(f"<td>{html.escape(str(each))}</td>" for each in rest)
        return f"<tr><th>{html.escape(str(first))}</th>{cells}</tr>"

    return f"<table>{''.join(line(*row) for row in rows)}</table>"


def picture(png: bytes, alt: str) -> str:
    """An image inside the page."""
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
