"""Where a name is declared, where it is used, and giving it another name everywhere."""

from __future__ import annotations

import re
from pathlib import Path

from dataforge.server import glossary, jinja
from dataforge.server.actions import Edit
from dataforge.server.forms import Role
from dataforge.server.names import Names, Symbol, Use
from dataforge.server.workspace import Workspace

_NAME = re.compile(r"[^\W\d]\w*")
WORDS_OF_THE_LANGUAGE = frozenset([word for _, word in glossary.KEYWORDS] + [*jinja.KEYWORDS, "loop"])


class Refused(Exception):
    """A rename that cannot be; the message says why, to the person who asked."""


def definition(workspace: Workspace, path: Path, offset: int) -> Use | None:
    """Where what the cursor touches is declared; for a file in quotes, the file itself."""
    names = Names(workspace)
    found = names.at(path, offset)
    if found is not None:
        return names.declaration(found[0], path)
    outline = workspace.outline(path) if path.suffix == ".forge" else None
    at = outline.word_at(offset) if outline is not None else None
    if at is None or at[1].role is not Role.PATH:
        return None
    target = (path.parent / at[1].text.strip('"')).resolve()
    return Use(target, 0, 0, "") if target.is_file() else None


def references(workspace: Workspace, path: Path, offset: int, *, declaration: bool = True) -> list[Use]:
    """Every place where what the cursor touches is written, in all files of the project."""
    names = Names(workspace)
    found = names.at(path, offset)
    if found is None:
        return []
    uses = list(names.uses(found[0], path))
    if found[0].kind == "field" and declaration:
        declared = names.declaration(found[0], path)
        if declared is not None and declared not in uses:
            uses.append(declared)
    return [use for use in uses if declaration or not use.declares]


def renamed_word(workspace: Workspace, path: Path, offset: int) -> Use:
    """The word that a rename at this place would change.

    Raises:
        Refused: where there is none, or it belongs to somebody else.
    """
    names = Names(workspace)
    found = names.at(path, offset)
    if found is None:
        raise Refused("there is no name here that could be changed")
    _check_ours(names, found[0], path)
    return found[1]


def rename(workspace: Workspace, path: Path, offset: int, new: str) -> list[Edit]:
    """The edits that give what the cursor touches another name, in all files of the project.

    Raises:
        Refused: where the name is not valid or taken, or belongs to an imported Python model.
    """
    names = Names(workspace)
    found = names.at(path, offset)
    if found is None:
        raise Refused("there is no name here that could be changed")
    symbol, here = found
    _check_ours(names, symbol, path)
    if not _NAME.fullmatch(new):
        raise Refused(f"`{new}` is no name: write a letter, then letters, digits and `_`")
    old = here.text
    if new == old:
        return []
    if symbol.kind != "field" and new in WORDS_OF_THE_LANGUAGE:
        raise Refused(f"`{new}` is a word of the language")
    uses = [use for use in names.uses(symbol, path) if use.text == old]
    if old != symbol.name:  # an alias, which is this file's own
        uses = [use for use in uses if use.path in (here.path, path) or use.path.suffix != ".forge"]
    _check_free(workspace, names, symbol, new, uses)
    return [Edit(use.path, use.start, use.end, new) for use in uses]


def _check_ours(names: Names, symbol: Symbol, near: Path) -> None:
    if symbol.kind == "python":
        raise Refused(f"`{symbol.name}` is a Python model of `{symbol.home}`: rename it there")
    if symbol.kind == "field":
        declared = names.declaration(symbol, near)
        if declared is None or declared.path.suffix != ".forge":
            raise Refused(f"`{symbol.name}` is a field of the Python model `{symbol.home}`: rename it there")


def _check_free(workspace: Workspace, names: Names, symbol: Symbol, new: str, uses: list[Use]) -> None:
    """Refuse a name that means something else already, in any file where the old one is written."""
    if symbol.kind == "field":
        for use in uses:
            outline = workspace.outline(use.path) if use.path.suffix == ".forge" else None
            item = outline.declared.get(symbol.home) if outline is not None else None
            for word in item or ():
                if word.declares and word.path == (symbol.home, new):
                    raise Refused(f"`{symbol.home}` has a field `{new}` already")
        return
    for path in {use.path for use in uses if use.path.suffix == ".forge"}:
        outline = workspace.outline(path)
        if outline is not None and (new in outline.declared or new in outline.imported):
            raise Refused(f"`{new}` is already a name in {path.name}")
