"""What every explanation is: a frozen dataclass that is also JSON."""

from __future__ import annotations

import dataclasses
from typing import Any, cast


class Explanation:
    """Base of the explanations."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Its fields by name, for machines."""
        return dataclasses.asdict(cast("Any", self))
