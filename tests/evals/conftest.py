"""What the tests of evals share with those of verifiers."""

from __future__ import annotations

from tests.verifiers.conftest import isolation

__all__ = ["isolation"]
