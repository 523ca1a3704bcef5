"""What the tests of verifiers share."""

from __future__ import annotations

import os

import pytest

from dataforge.verifiers.sandbox import IsolationError, run_program


@pytest.fixture(scope="module")
def isolation() -> None:
    """Where the kernel gives no namespaces there is nothing to test; CI must not find that out by silence."""
    try:
        run_program("")
    except IsolationError as error:
        refused = "unshare:" in str(error) or "PermissionError" in str(error)
        if os.environ.get("CI") or not refused:
            raise
        pytest.skip(f"{error}: {error.help}")
