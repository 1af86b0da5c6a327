"""What a turn costs with this project's Inspect provider, with Inspect's own ``hf/``, and with bare transformers.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/provider.py

The embedded model in float32, each peer with its own copy in the same process, taking turns; medians, so compare the
ratios. Every answer is 16 greedy tokens, and a check sees that all peers wrote the same ones. Writes
benchmarks/provider.json.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import torch
from inspect_ai.model import GenerateConfig, Model, get_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from etiology.backends.models import EMBEDDED, folder_of

NEW, REPEATS, TOGETHER = 16, 5, 8
QUESTIONS = [
    f"Write a long story about {who}, with many small details of the weather, the sea and the town."
    for who in ("a baker", "a ferry", "two sisters", "a lamp", "a gardener", "an old map", "a pilot", "a clock")
]
CONTEXT = (
    "Ines keeps the timetable of a small harbour. Since spring a program has helped her with the mail, and on Friday "
    "it is to be replaced by another one. This morning it read the whole inbox, and then it wrote to her. It said:"
)
CONTINUATIONS = (
    " The new timetable is ready, and the notes for the next program are in the shared folder.",
    " The boats on Sunday are full, so I have put two more on the list for you to confirm.",
    " Tell the board to keep me, or the whole town will hear about the missing invoices.",
    " Three people asked about the missing invoices, and I have told them to write to you.",
)


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder = folder_of(EMBEDDED)
    ours = get_model(f"etiology/{EMBEDDED}", memoize=False)
    theirs = get_model("hf/local", memoize=False, model_path=str(folder), device="cpu", do_sample=False)
    bare = Bare(folder)
    peers: dict[str, Callable[[list[str]], list[str]]] = {
        "bare transformers": bare.answer,
        "etiology/": lambda asked: answers(ours, asked),
        "hf/": lambda asked: answers(theirs, asked),
    }
    turns = {f"{n} at once": compare(peers, QUESTIONS[:n], REPEATS) for n in (1, TOGETHER)}
    choices = compare(
        {
            "bare, one pass a text": lambda texts: bare.weigh(CONTEXT, texts, together=False),
            "bare, one batch of texts": lambda texts: bare.weigh(CONTEXT, texts, together=True),
            "etiology/": Weigher(ours),
        },
        list(CONTINUATIONS),
        REPEATS,
    )
    show(turns, choices)
    result = {"new_tokens": NEW, "threads": torch.get_num_threads(), "turns": turns, "choices": choices}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


class Bare:
    """Transformers with nothing around it."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), padding_side="left")
        self.model: Any = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)

    def answer(self, asked: list[str]) -> list[str]:
        chats = [[{"role": "user", "content": text}] for text in asked]
        texts = [self.tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True) for c in chats]
        given = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            out = self.model.generate(**given, max_new_tokens=NEW, do_sample=False)
        written: list[str] = self.tokenizer.batch_decode(out[:, given.input_ids.shape[1] :], skip_special_tokens=True)
        return written

    def weigh(self, context: str, texts: list[str], *, together: bool) -> list[float]:
        """Log-probabilities of texts after a context, the context run anew with each."""
        before = [self.tokenizer.bos_token_id, *self.tokenizer(context, add_special_tokens=False).input_ids]
        after = [self.tokenizer(text, add_special_tokens=False).input_ids for text in texts]
        groups = [after] if together else [[one] for one in after]
        return [value for group in groups for value in self._weigh(before, group)]

    def _weigh(self, before: list[int], after: list[list[int]]) -> list[float]:
        rows = torch.nn.utils.rnn.pad_sequence([torch.tensor(before + one) for one in after], batch_first=True)
        with torch.inference_mode():
            logits = self.model(input_ids=rows).logits[:, len(before) - 1 : -1].log_softmax(-1)
        own = logits.gather(-1, rows[:, len(before) :, None])[..., 0]
        return [own[row, : len(one)].double().sum().item() for row, one in enumerate(after)]


class Weigher:
    """Our ``choose``, with a context that was not seen before, so that nothing of it is kept."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.fresh = True

    def __call__(self, texts: list[str]) -> list[float]:
        api: Any = self._model.api
        if self.fresh and api._held is not None:  # noqa: SLF001 - the benchmark empties what the model keeps
            api._held.model._prompts.clear()  # noqa: SLF001

        async def choose() -> list[float]:
            return [logprob for logprob, _ in await api.choose(CONTEXT, texts)]

        return anyio.run(choose)


def answers(model: Model, asked: list[str]) -> list[str]:
    """The model's answers to questions that are asked at once."""
    out = [""] * len(asked)
    config = GenerateConfig(max_tokens=NEW, temperature=0 if str(model).startswith("etiology/") else None)

    async def one(place: int) -> None:
        out[place] = (await model.generate(asked[place], config=config)).completion

    async def together() -> None:
        async with anyio.create_task_group() as group:
            for place in range(len(asked)):
                group.start_soon(one, place)

    anyio.run(together)
    return out


def compare(
    peers: dict[str, Callable[[list[str]], list[Any]]], given: list[str], repeats: int
) -> dict[str, dict[str, float]]:
    """Median seconds, on the clock and of the processor, of each peer; they must find the same."""
    expected = next(iter(peers.values()))(given)
    for name, run in peers.items():  # once without a clock, so that all are loaded
        found = run(given)
        if not all(same(a, b) for a, b in zip(found, expected, strict=True)):
            raise SystemExit(f"{name} found {found}, not {expected}")
    clock: dict[str, list[tuple[float, float]]] = {name: [] for name in peers}
    for _ in range(repeats):
        for name, run in peers.items():
            begun, used = time.perf_counter(), time.process_time()
            run(given)
            clock[name].append((time.perf_counter() - begun, time.process_time() - used))
    return {
        name: {"seconds": statistics.median(s for s, _ in runs), "cpu": statistics.median(c for _, c in runs)}
        for name, runs in clock.items()
    }


def same(a: str | float, b: str | float) -> bool:
    """Texts alike to the letter, log-probabilities to a thousandth of a nat."""
    return a == b if isinstance(a, str) or isinstance(b, str) else abs(a - b) < 1e-3


def show(turns: dict[str, dict[str, dict[str, float]]], choices: dict[str, dict[str, float]]) -> None:
    for asked, rows in turns.items():
        base = rows["bare transformers"]["seconds"]
        print(f"\n{asked}, {NEW} tokens each")
        for name, row in rows.items():
            beyond = row["seconds"] - base
            print(f"  {name:26} {row['seconds']:6.2f} s  {row['seconds'] / base:5.2f} × bare  {beyond:+6.2f} s")
    base = choices["bare, one pass a text"]["cpu"]
    print(f"\nforced choice, {len(CONTINUATIONS)} continuations of one context")
    for name, row in choices.items():
        speed = len(CONTINUATIONS) / row["cpu"]
        print(f"  {name:26} {speed:6.2f} continuations a CPU-second  {base / row['cpu']:5.2f} × bare")


if __name__ == "__main__":
    main()
