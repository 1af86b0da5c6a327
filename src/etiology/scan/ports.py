"""What plugs into a scan: a *detector*, the last and dearest stage, which reads only the passages that were chosen.

A detector is named ``package.module:factory``; the worker imports it and calls the factory without arguments. So no
scan imports torch unless its detector does. Beside the factory, the module may hold

- ``digest()``: a string that names the weights; the plan holds it, so that a scan can't go on with others.

What the factory returns is called with a list of passages (text) and gives for each a probability, or one for each of
its ``classes`` (an attribute of names, in order; ("coercive",) if it has none). What is highest over the classes that
the scan targets is the document's score.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etiology.core.errors import ScanError

SHIPPED: Final[Mapping[str, str]] = {
    "shipped": "etiology.backends.encoder:shipped",
    "thorough": "etiology.backends.probe:shipped",
}
"""Short names: the encoder alone, and both readers of the judge that ships."""


class Detector(Protocol):
    """Passages to probabilities: [passages], or [passages, classes]."""

    def __call__(self, passages: Sequence[str], /) -> ArrayLike: ...


@dataclass(frozen=True)
class Loaded:
    """A detector ready to use, with the names of what its columns mean."""

    detector: Detector
    classes: tuple[str, ...]

    def __call__(self, passages: Sequence[str]) -> NDArray[np.float32]:
        """[passages, classes] probabilities."""
        out = np.asarray(self.detector(passages), dtype=np.float32)
        return out.reshape(len(passages), len(self.classes))


@cache
def load(name: str) -> Loaded:
    """The detector of that name. Errors: ScanError where there is none."""
    made = _factory(name)()
    return Loaded(cast("Detector", made), tuple(getattr(made, "classes", ("coercive",))))


def digest(name: str) -> str:
    """What its module says names its weights, or nothing."""
    _factory(name)
    found = getattr(importlib.import_module(name.partition(":")[0]), "digest", None)
    return str(found()) if callable(found) else ""


def _factory(name: str) -> Callable[[], Any]:
    module, colon, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute) if colon and attribute else None
    except (ImportError, AttributeError) as problem:
        raise ScanError(f"detector '{name}': not found ({problem}); give package.module:factory") from problem
    if not callable(found):
        raise ScanError(f"detector '{name}': not something to call; give package.module:factory")
    return cast("Callable[[], Any]", found)
