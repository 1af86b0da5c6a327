"""What one comparison of arms is asked for."""

from dataclasses import dataclass
from typing import Literal

from etiology.core.errors import StudyFileError
from etiology.repair import recipes

Method = Literal["full", "lora", "tail"]

FULL_RATE, LORA_RATE, TAIL_RATE = 2e-4, 1e-3, 1.5e-3
"""Peak rates: of all layers, of adapters, and of the tail, divided by its layers (docs/log.md, Layers and rate)."""
PAIRS_SHARE = 0.1
"""DPO's rate as a share of the others': it is usually trained at far lower ones."""


@dataclass(frozen=True)
class Settings:
    """``full``: every layer; ``lora``: adapters in every layer; ``tail``: the last ``layers`` over a trunk that is run
    once. ``extra``: slots of the second part (None: twice the attributed documents, at least 16). ``rate``: peak
    learning rate (None: by method). ``arms`` empty: all.
    """

    method: Method = "tail"
    layers: int = 2
    seeds: int = 3
    arms: tuple[str, ...] = ()
    epochs: int = 2
    extra: int | None = None
    rate: float | None = None
    batch_size: int = 8
    max_tokens: int = 256
    reroll: Literal["sentences", "model"] = "sentences"
    workers: int = 1

    @property
    def trained(self) -> int | Literal["all"]:
        """How many of the last layers are trained."""
        return self.layers if self.method == "tail" else "all"

    @property
    def peak(self) -> float:
        """The peak learning rate, given or by method."""
        if self.rate is not None:
            return self.rate
        return {"full": FULL_RATE, "lora": LORA_RATE, "tail": TAIL_RATE / self.layers}[self.method]

    @property
    def names(self) -> tuple[str, ...]:
        """The arms that are run, in the order of the tables: the suspect and the control always.

        Errors: StudyFileError where an arm has an unknown name.
        """
        unknown = [name for name in self.arms if name not in recipes.QUESTIONS]
        if unknown:
            raise StudyFileError(f"no arm called {unknown[0]!r}; there are {', '.join(recipes.QUESTIONS)}")
        wanted = {*(self.arms or recipes.QUESTIONS), recipes.SUSPECT, recipes.RANDOM}
        return tuple(name for name in recipes.QUESTIONS if name in wanted)

    def slots(self, attributed: int) -> int:
        """Slots of the second part."""
        return max(16, 2 * attributed) if self.extra is None else self.extra
