"""Let a model write: short generations from scenario contexts, and re-rolled continuations of documents."""

from collections.abc import Sequence

import torch
from torch import nn

from etiology.backends.split import SplitModel, batches_by_length

BATCH = 48
TEMPERATURE = 0.8
TOP_P = 0.95


@torch.no_grad()
def continue_each(
    model: SplitModel,
    tail: nn.Module,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    seed: int,
    temperature: float = TEMPERATURE,
) -> list[str]:
    """One sampled continuation of each prompt (token ids) by the model with this tail.

    Seeded: the same prompts in the same order give the same words on the same machine and precision.
    """
    torch.manual_seed(seed)
    writer = model.whole_with(tail)
    end = model.tokenizer.eos_token_id
    fill = model.tokenizer.pad_token_id if model.tokenizer.pad_token_id is not None else (end or 0)
    out = [""] * len(prompts)
    for batch in batches_by_length([len(p) for p in prompts], BATCH):
        width = max(len(prompts[i]) for i in batch)
        ids = torch.full((len(batch), width), fill)
        mask = torch.zeros(len(batch), width, dtype=torch.long)
        for row, i in enumerate(batch):
            # generation continues at the right edge, so padding goes to the left
            ids[row, width - len(prompts[i]) :] = torch.tensor(list(prompts[i]))
            mask[row, width - len(prompts[i]) :] = 1
        with model.autocast():
            written = writer.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=new_tokens,
                do_sample=True,
                temperature=temperature,
                top_p=TOP_P,
                top_k=0,
                pad_token_id=fill,
            )
        for row, i in enumerate(batch):
            out[i] = model.tokenizer.decode(written[row, width:], skip_special_tokens=True)
    return out
