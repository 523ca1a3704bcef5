"""Fixtures of the trainer's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.trainer.nursery import Nursery


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Where commands run as processes that can be killed."""
    made = Nursery(tmp_path_factory.mktemp("nursery"))
    yield made
    made.close()
