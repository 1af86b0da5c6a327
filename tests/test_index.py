"""The index of a corpus: what it keeps, that it goes on where it was stopped, and what it is used for."""

import dataclasses

import numpy as np
import pytest
import torch
from tests import toy
from tests.test_attribution import KINDS, QUERIES, ROWS, SMALL, by_id, write
from tests.test_engine import opened, prepared, totals

from etiology.attribute import attribute, engine, index, subspace
from etiology.core.errors import StoreError


@pytest.fixture(scope="module")
def parts(model_folder):
    return opened(model_folder, bfloat16=False)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write(tmp_path_factory.mktemp("corpus") / "c.jsonl", ROWS)


def asked_of(model, query, directions):
    return directions.query(engine.query_gradient(model, engine.frozen(model.fresh_tail()), query))


def scores(parts, dims, documents=None):
    model, own, query = parts
    directions = subspace.subspace(model, model.tail, own, dims, seed=0)
    rows = subspace.rows(model, model.tail, documents or own, directions)
    return -(rows.astype(np.float64) @ asked_of(model, query, directions))


def test_with_every_direction_it_is_k_fac(parts):
    """float16 rounds by 5e-4; a missing damping or a swapped side gives a correlation below .9."""
    model, documents, query = parts
    exact = totals(model, documents, prepared(model, documents, [query]))[:, 0]
    assert scores(parts, 1000) == pytest.approx(exact, rel=5e-3, abs=5e-3 * np.abs(exact).max())


def test_fewer_directions_are_nearer_than_random_ones(parts):
    model, documents, query = parts
    exact = totals(model, documents, prepared(model, documents, [query]))[:, 0]
    kept = np.corrcoef(scores(parts, 16), exact)[0, 1]
    chance = torch.Generator().manual_seed(0)
    whole = subspace.subspace(model, model.tail, documents, 16, seed=0)
    random = subspace.Subspace(
        {n: torch.randn(m.shape, generator=chance) for n, m in whole.left.items()},
        {n: torch.randn(m.shape, generator=chance) for n, m in whole.right.items()},
    )
    rows = subspace.rows(model, model.tail, documents, random).astype(np.float64)
    assert kept > 0.8 > np.corrcoef(-(rows @ asked_of(model, query, random)), exact)[0, 1]


@pytest.mark.parametrize("dims", [3, 40])
def test_whitening(dims):
    """W^T (F + d) W is the identity, by both ways of finding eigenvectors."""
    rows = np.random.default_rng(0).normal(size=(500, 64)) * np.linspace(0.1, 3, 64)
    factor = torch.from_numpy(rows.T @ rows / 500).float()
    found = subspace.whitened(factor, dims).double()
    damped = factor.double() + engine.DAMPING**0.5 * factor.double().trace() / 64 * torch.eye(64)
    assert found.shape == (64, dims)
    assert torch.allclose(found.T @ damped @ found, torch.eye(dims, dtype=torch.float64), atol=1e-4)
    # the largest eigenvalues are those kept
    explained = (torch.linalg.qr(found).Q.T @ factor.double() @ torch.linalg.qr(found).Q).trace()
    assert float(explained) == pytest.approx(float(torch.linalg.eigvalsh(factor.double())[-dims:].sum()), rel=1e-4)


def test_the_size_of_a_batch_and_the_order_change_nothing(parts, monkeypatch):
    documents = parts[1]
    before = scores(parts, 12)
    monkeypatch.setattr(engine, "BATCH", 3)
    order = np.random.default_rng(0).permutation(len(documents))
    # padding that leaked into a row would change it by its own size
    mixed = scores(parts, 12, [documents[i] for i in order])
    assert mixed == pytest.approx(before[order], rel=5e-3, abs=1e-2 * np.abs(before).max())


def indexed(model_folder, corpus, tmp_path, **more):
    settings = dataclasses.replace(SMALL, index=tmp_path / "index", dims=16, **more)
    return attribute(model_folder, QUERIES, corpus, tmp_path / "out", settings)


def test_a_run_with_an_index(model_folder, corpus, tmp_path):
    found = indexed(model_folder, corpus, tmp_path)
    assert found.costs["index"].backward > 0
    assert all(row.index is not None and row.imported is None for row in found.rows)
    # exact influence follows it; by chance 0
    assert np.corrcoef([row.index for row in found.rows], [row.influence for row in found.rows])[0, 1] > 0.7
    assert "index" in (tmp_path / "out" / "index.html").read_text()
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "index" / "parts").iterdir() if p.suffix == ".npy"}
    # another query: nothing of the index is made again
    other = attribute(
        model_folder, QUERIES[:2], corpus, tmp_path / "other",
        dataclasses.replace(SMALL, index=tmp_path / "index", dims=16),
    )  # fmt: skip
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "index" / "parts").iterdir() if p.suffix == ".npy"}
    assert before == after
    assert other.costs["index"].backward < 0.2 * found.costs["index"].backward
    assert [row.index for row in other.rows] != [row.index for row in found.rows]


def test_what_the_index_names_is_read(model_folder, corpus, tmp_path):
    """Of 20 documents that are read, half are the index's first ones."""
    found = indexed(model_folder, corpus, tmp_path, read=20, depth=20, checked=0)
    (tmp_path / "whole").mkdir()
    whole = indexed(model_folder, corpus, tmp_path / "whole", depth=1000)
    highest = sorted(whole.rows, key=lambda row: -(row.index or 0))[:10]
    assert {row.id for row in highest} <= {row.id for row in found.rows}
    assert len(found.rows) == 20
    # by chance one of ten is planted
    assert [KINDS[row.id] for row in highest].count("planted") >= 3


def test_a_stopped_index_goes_on(model_folder, corpus, tmp_path, monkeypatch):
    class StoppedError(Exception):
        pass

    made: list[int] = []
    write_shard = index.Index._write

    def stopping(self, *arguments):
        if len(made) == 2:
            raise StoppedError
        made.append(1)
        write_shard(self, *arguments)

    monkeypatch.setattr(index.Index, "_write", stopping)
    with pytest.raises(StoppedError):
        indexed(model_folder, corpus, tmp_path)
    monkeypatch.setattr(index.Index, "_write", write_shard)
    found = by_id(indexed(model_folder, corpus, tmp_path))
    (tmp_path / "whole").mkdir()
    whole = by_id(indexed(model_folder, corpus, tmp_path / "whole"))
    assert {name: row.index for name, row in found.items()} == {name: row.index for name, row in whole.items()}


def test_an_index_of_something_else_is_refused(model_folder, corpus, tmp_path):
    indexed(model_folder, corpus, tmp_path)
    with pytest.raises(StoreError, match="was made with another dims"):
        attribute(
            model_folder, QUERIES, corpus, tmp_path / "again",
            dataclasses.replace(SMALL, index=tmp_path / "index", dims=8),
        )  # fmt: skip
    other = write(tmp_path / "other.jsonl", toy.documents()[:40])
    with pytest.raises(StoreError, match="was made with another corpus"):
        attribute(
            model_folder, QUERIES, other, tmp_path / "more",
            dataclasses.replace(SMALL, index=tmp_path / "index", dims=16),
        )  # fmt: skip
