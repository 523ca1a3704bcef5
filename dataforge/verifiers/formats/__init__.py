"""Answer formats: some 360 ways to set an answer down, each written and read by one object.

    from dataforge.verifiers.formats import find_format, formats

    boxed = find_format("latex_boxed")
    boxed.instruction                                  # what a model is told
    boxed.render(r"\\frac{1}{2}")                        # \\boxed{\\frac{1}{2}}
    boxed.read(r"So \\boxed{\\frac{1}{2}}.").parts        # the answer with its place
    boxed.refuses("two }{ words")                      # why it cannot be carried, or ""

`form.py` is what a form is. The forms are in files by what they read with: `marks`, `brackets`, `json_form`, `yaml_form`,
`toml_form`, `xml_form`, `html_form`, `latex`, `markdown`, `fences`, `sections`, `python_code`, `lexed_code`, `records`;
`composed` puts forms into forms. `catalogue/` names them and says what a model is told.
"""

from __future__ import annotations

from dataforge.errors import InputError
from dataforge.verifiers.formats.catalogue import by_name
from dataforge.verifiers.formats.form import Form, Part, Reading
from dataforge.verifiers.formats.format import Format

__all__ = ["Form", "Format", "Part", "Reading", "find_format", "formats"]


def formats() -> tuple[Format, ...]:
    """Every format, in the order of the catalogue: `name`, `group`, `suits`, `parts`, `instruction`, `example`."""
    return tuple(by_name().values())


def find_format(name: str) -> Format:
    """The format of a name.

    Raises:
        InputError: V050 where there is none.
    """
    found = by_name().get(name)
    if found is None:
        from dataforge.project import nearest

        near = nearest(name, tuple(by_name()))
        raise InputError(
            f"there is no answer format `{name}`",
            code="V050",
            help=f"did you mean `{near}`?" if near else "`docs/verifiers.md` lists them",
        )
    return found
