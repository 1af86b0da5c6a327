"""Values as JSON may hold them."""

from math import isfinite
from typing import Any


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same with null for infinity, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value
