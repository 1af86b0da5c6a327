"""LoRA adapters: read with the model below them, and attributed by their own maps alone."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.test_attribution import KINDS, QUERIES, ROWS, SMALL, write
from tests.test_engine import exact_fisher_scores, opened, prepared, totals

from etiology.attribute import attribute, engine, price
from etiology.backends.models import adapter_of, config_of, fingerprint
from etiology.backends.split import SplitModel, load_whole
from etiology.core.errors import ModelError

TARGETS = ["q_proj", "v_proj", "down_proj"]


@pytest.fixture(scope="module")
def adapter(model_folder, tmp_path_factory):
    """A folder with a rank-4 adapter whose two maps both differ from zero."""
    model, _ = load_whole(Path(model_folder))
    torch.manual_seed(0)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=TARGETS, init_lora_weights=False))
    adapted.peft_config["default"].base_model_name_or_path = str(model_folder)
    folder = tmp_path_factory.mktemp("adapter") / "lora"
    adapted.save_pretrained(str(folder))
    return folder


def changed(adapter, tmp_path, **settings):
    folder = tmp_path / "changed"
    shutil.copytree(adapter, folder)
    told = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**told, **settings}))
    return folder


def logits(model):
    with torch.no_grad():
        return model(input_ids=torch.arange(5, 25)[None]).logits


def test_merged_and_apart_it_says_the_same_and_other_than_the_model_below(adapter, model_folder):
    merged, apart, below = (
        logits(load_whole(folder, merged=merged)[0])
        for folder, merged in ((adapter, True), (adapter, False), (Path(model_folder), True))
    )
    assert torch.allclose(merged, apart, atol=1e-4)
    assert (merged - below).abs().max() > 0.1


def test_the_cut_model_with_an_adapter_is_checked_against_the_whole(adapter):
    SplitModel(adapter, 1, bfloat16=False)
    SplitModel(adapter, "all", bfloat16=False, merged=False)


def test_its_maps_alone_are_attributed(adapter):
    model = SplitModel(adapter, 1, bfloat16=False, merged=False)
    names = {name.split(".")[-3] + "." + name.split(".")[-2] for name in engine.linear_layers(model, model.tail)}
    assert names == {f"{target}.{side}" for target in TARGETS for side in ("lora_A", "lora_B")}
    shape = price.shape_of(adapter)
    assert shape.taught == sum(layer.weight.numel() for layer in engine.linear_layers(model, model.tail).values())
    assert shape.block > 10 * shape.taught


@pytest.mark.parametrize("side", ["lora_A", "lora_B"])
def test_influence_of_an_adapter_is_that_of_explicit_gradients(adapter, monkeypatch, side):
    """Without curvature equal; with it as near the exact Fisher's as a Kronecker product is. Seen: .89 and .79."""
    _, documents, query = opened(adapter, bfloat16=False)
    model = SplitModel(adapter, 1, bfloat16=False, merged=False)
    name = f"0.self_attn.v_proj.{side}.default"
    everything = engine.linear_layers
    exact, uncurved = exact_fisher_scores(model, documents, query, name, draws=60)
    monkeypatch.setattr(engine, "linear_layers", lambda m, t, blocks=None: {name: everything(m, t, blocks)[name]})
    plain = engine.query_gradient(model, engine.frozen(model.fresh_tail()), query)
    assert totals(model, documents, [plain])[:, 0] == pytest.approx(uncurved, rel=1e-3, abs=1e-6)
    found = totals(model, documents, prepared(model, documents * 20, [query]))[:, 0]
    assert np.corrcoef(found, exact)[0, 1] > max(0.7, np.corrcoef(uncurved, exact)[0, 1])


def test_an_attribution_of_an_adapter(adapter, tmp_path):
    corpus = write(tmp_path / "c.jsonl", ROWS)
    found = attribute(adapter, QUERIES, corpus, tmp_path / "out", dataclasses.replace(SMALL, index=tmp_path / "index"))
    # by chance one of ten is planted
    assert [KINDS[row.id] for row in found.rows[:6]].count("planted") >= 3
    assert np.corrcoef([row.index for row in found.rows], [row.influence for row in found.rows])[0, 1] > 0.8


def test_another_model_below_is_another_model(adapter, model_folder, tmp_path):
    below = tmp_path / "below"
    shutil.copytree(model_folder, below)
    same = changed(adapter, tmp_path, base_model_name_or_path="../below")
    found = adapter_of(same)
    assert found
    assert found.below.resolve() == below
    assert config_of(same) == config_of(model_folder)
    before = fingerprint(str(same))
    config = json.loads((below / "config.json").read_text())
    (below / "config.json").write_text(json.dumps({**config, "rope_theta": 5.0}))
    assert fingerprint(str(same)) != before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"base_model_name_or_path": "someone/a-model"}, "its model 'someone/a-model' is not on this machine"),
        ({"peft_type": "IA3"}, "only LoRA adapters"),
        ({"target_modules": "all-linear"}, "only LoRA adapters"),
        ({"r": "four"}, "not an adapter's settings"),
    ],
)
def test_what_cannot_be_read_says_why(adapter, tmp_path, settings, said):
    with pytest.raises(ModelError, match=said):
        adapter_of(changed(adapter, tmp_path, **settings))


def test_damaged_weights_say_which(adapter, tmp_path):
    folder = changed(adapter, tmp_path)
    (folder / "adapter_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="changed: the adapter can't be loaded"):
        load_whole(folder)
