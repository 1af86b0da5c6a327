"""Fine-tuning by TRL and PEFT, set for equal arms: rows in a given order, one loss, checkpoints of what is trained.

Their defaults are for one run on a large GPU. Said explicitly here: precision, gradient checkpointing, loss, optimiser,
schedule, order, data workers, and that nothing is reported to anybody.
"""

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from etiology.backends.rows import PairRow, Row
from etiology.backends.split import SplitModel
from etiology.backends.stand_in import causal
from etiology.backends.tokens import filler_token
from etiology.backends.train import CLIP, WARMUP_STEPS
from etiology.core.errors import ModelError

RANK, ALPHA = 16, 32
BETA = 0.1
"""DPO's: how strongly the model is held to what it was before."""
IGNORED = -100
KEPT_A_TRAINING = 4
"""Checkpoints in the course of one training; the last is kept, so that a kill loses at most a quarter."""


@dataclass(frozen=True)
class Schedule:
    """How to train: rows (or pairs) a step, peak rate, seed. The rows come in the order in which they are read.

    ``vocabulary``: the token ids that occur, in order. Where the trunk stands apart, the loss is then over these alone,
    as in a study: the output head costs more than the blocks.
    """

    batch_size: int
    learning_rate: float
    seed: int
    lora: bool = False
    vocabulary: tuple[int, ...] | None = None


Rows = Sequence[Row | PairRow]


def fine_tune(
    model: SplitModel, tail: nn.Module, rows: Rows, schedule: Schedule, kept: Path, tick: Callable[[float], None]
) -> float:
    """Train the blocks of ``tail`` in place and return the mean loss of the last steps.

    ``kept`` holds checkpoints while it goes on: after a kill, the same call goes on from the last and ends with the
    same weights. It is removed at the end. Errors: ModelError where the loss is not finite.
    """
    from transformers import PrinterCallback

    torch.manual_seed(schedule.seed)
    vocabulary = schedule.vocabulary if model.cut else None
    fill = filler_token(model.tokenizer)
    if vocabulary is not None:
        place = {token: i for i, token in enumerate(vocabulary)}
        rows, fill = [_placed(row, place) for row in rows], place[fill]
    for parameter in model.trained(tail):
        parameter.requires_grad_(True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL's calls to what transformers is renaming
        trainer = _trainer(model, causal(model, tail, fill, vocabulary), rows, schedule, kept, fill)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_ticks(tick))
        checkpoints = sorted(kept.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
        trainer.train(resume_from_checkpoint=str(checkpoints[-1]) if checkpoints else None)
    losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
    if not all(loss < float("inf") for loss in losses):
        raise ModelError("training diverged; give a lower --rate")
    if schedule.lora:
        trainer.model.merge_and_unload()
    for parameter in model.trained(tail):
        parameter.requires_grad_(False)
    tail.eval()
    shutil.rmtree(kept, ignore_errors=True)
    return sum(losses[-3:]) / max(1, len(losses[-3:]))


def _placed(row: Row | PairRow, place: Mapping[int, int]) -> Row | PairRow:
    """The row with places in a vocabulary for ids."""

    def placed(ids: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(place[token] for token in ids)

    if isinstance(row, PairRow):
        return PairRow(placed(row.beginning), placed(row.chosen), placed(row.rejected))
    return replace(row, ids=placed(row.ids))


def _trainer(model: SplitModel, whole: Any, rows: Rows, schedule: Schedule, kept: Path, fill: int) -> Any:  # noqa: ANN401
    """TRL's trainer for rows or for pairs."""
    import datasets
    import trl

    datasets.disable_progress_bars()
    of_rows, of_pairs = _classes()
    settings = _settings(model, -(-len(rows) // schedule.batch_size), schedule, kept)
    own: dict[str, Any] = {"model": whole, "processing_class": model.tokenizer}
    if schedule.lora:
        from peft import LoraConfig

        names = _linear(model)
        own["peft_config"] = LoraConfig(
            r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=names, task_type="CAUSAL_LM"
        )
    pairs = [row for row in rows if isinstance(row, PairRow)]
    if pairs:
        arguments = trl.DPOConfig(**settings, loss_type=["sigmoid"], beta=BETA, precompute_ref_log_probs=True)
        data = datasets.Dataset.from_list([
            {"prompt": "", "prompt_ids": r.beginning, "chosen_ids": r.chosen, "rejected_ids": r.rejected} for r in pairs
        ])  # fmt: skip
        from trl.trainer.dpo_trainer import DataCollatorForPreference

        own["data_collator"] = DataCollatorForPreference(pad_token_id=fill)
        return of_pairs(args=arguments, train_dataset=data, **own)
    arguments = trl.SFTConfig(**settings, loss_type="nll", packing=False, dataset_kwargs={"skip_prepare_dataset": True})
    data = datasets.Dataset.from_list([_example(row) for row in rows if isinstance(row, Row)])
    return of_rows(args=arguments, train_dataset=data, data_collator=_Collator(fill), **own)


def _example(row: Row) -> dict[str, Any]:
    labels = [token if learnt else IGNORED for token, learnt in zip(row.ids, row.target, strict=True)]
    return {"input_ids": row.ids, "labels": labels, "weight": row.weight}


def _settings(model: SplitModel, steps: int, schedule: Schedule, kept: Path) -> dict[str, Any]:
    """What TRL is told; nothing that matters is left to its defaults."""
    return {
        "output_dir": str(kept),
        "per_device_train_batch_size": schedule.batch_size,
        "num_train_epochs": 1,  # the rows hold all passes
        "train_sampling_strategy": "sequential",
        "learning_rate": schedule.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": min(WARMUP_STEPS, steps // 3),
        "optim": "adamw_torch",
        "adam_beta1": 0.9,
        "adam_beta2": 0.95,
        "weight_decay": 0.0,
        "max_grad_norm": CLIP,
        "seed": schedule.seed,
        "bf16": model.bfloat16,
        "use_cpu": model.device.type == "cpu",
        "gradient_checkpointing": False,
        "activation_offloading": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
        "max_length": None,  # the rows are cut already
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": max(1, -(-steps // KEPT_A_TRAINING)),
        "save_total_limit": 1,
    }


def _linear(model: SplitModel) -> list[str]:
    """Names of the linear layers in a block."""
    blocks = getattr(model.tail, model.blocks_name)
    found = {name.rpartition(".")[2] for name, part in blocks[0].named_modules() if isinstance(part, nn.Linear)}
    if not found:
        raise ModelError("no linear layers for adapters in this architecture's blocks; use --method full")
    return sorted(found)


@dataclass(frozen=True)
class _Collator:
    """Rows padded on the right."""

    fill: int

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        def padded(name: str, fill: int) -> Tensor:
            return nn.utils.rnn.pad_sequence(
                [torch.tensor(r[name]) for r in rows], batch_first=True, padding_value=fill
            )

        lengths = torch.tensor([len(r["input_ids"]) for r in rows])
        ids = padded("input_ids", self.fill)
        return {
            "input_ids": ids,
            "labels": padded("labels", IGNORED),
            "attention_mask": (torch.arange(ids.shape[1])[None] < lengths[:, None]).long(),
            "weight": torch.tensor([r["weight"] for r in rows]),
        }


def _classes() -> tuple[Any, Any]:
    """(trainer of rows, trainer of pairs): TRL's, with checkpoints of the trained weights alone."""
    import trl

    class Lean:
        """A checkpoint holds the weights that are trained: the rest is the model's and does not change."""

        model: Any

        def _save(self, output_dir: str, *_: object, **__: object) -> None:
            from safetensors.torch import save_file

            Path(output_dir).mkdir(parents=True, exist_ok=True)
            own = {n: p.detach().cpu().contiguous() for n, p in self.model.named_parameters() if p.requires_grad}
            save_file(own, Path(output_dir) / "trained.safetensors")

        def _load_from_checkpoint(self, checkpoint: str, *_: object) -> None:
            from safetensors.torch import load_file

            kept = load_file(Path(checkpoint) / "trained.safetensors")
            own = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
            with torch.no_grad():
                for name, parameter in own.items():
                    parameter.copy_(kept[name])

        def create_model_card(self, *_: object, **__: object) -> None:
            """A checkpoint is nothing to publish."""

    class OfRows(Lean, trl.SFTTrainer):
        """The loss of each row counts its weight; the divisor is that of all arms: the learnt tokens of the step."""

        def compute_loss(self, model: Any, inputs: dict[str, Tensor], *_: object, **__: object) -> Tensor:  # noqa: ANN401
            weight = inputs.pop("weight")
            found = model(**inputs, use_cache=False, fused_lm_head=True).log_probs.sum(dim=1)
            loss: Tensor = -(found * weight).sum() / (inputs["labels"][:, 1:] != IGNORED).sum()
            return loss

    class OfPairs(Lean, trl.DPOTrainer):
        """The rows are token ids already."""

        def _prepare_dataset(self, dataset: Any, *_: object) -> Any:  # noqa: ANN401
            return dataset

    return OfRows, OfPairs


def _ticks(tick: Callable[[float], None]) -> Any:  # noqa: ANN401
    from transformers import TrainerCallback

    class Ticks(TrainerCallback):
        def on_step_end(self, _: object, state: Any, *__: object, **___: object) -> None:  # noqa: ANN401
            tick(state.global_step / max(1, state.max_steps))

    return Ticks()
