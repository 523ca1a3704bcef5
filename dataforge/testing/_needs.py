"""Hypothesis is an extra: say what to install where it is missing."""

from __future__ import annotations

import importlib.util

from dataforge.errors import InputError


def need_hypothesis() -> None:
    """Check that Hypothesis is there.

    Raises:
        InputError: where it is not.
    """
    if importlib.util.find_spec("hypothesis") is None:
        raise InputError(
            "contract tests need Hypothesis, which is not installed",
            code="R042",
            help="pip install 'dataforge-compiler[test]'",
        )
