"""A network that begins where another one ended keeps that one's plan, whole, and learns faster."""

import json

import numpy as np
import pytest
import torch
from helpers.training import SHORT, stores

PARENT = (
    "--epochs",
    "12",
    "--batches-per-epoch",
    "20",
    "--learning-rate",
    "0.01",
    "--foreground",
    "0.7",
    "--no-augment",
)
CHILD = (
    "--epochs",
    "2",
    "--batches-per-epoch",
    "10",
    "--learning-rate",
    "0.003",
    "--foreground",
    "0.7",
    "--no-augment",
)


@pytest.fixture(scope="module")
def parent(bench):
    bench.run("train", "parent", *PARENT, **stores(bench))
    return bench.out("parent")


def read_plan(folder):
    return json.loads((folder / "plan.json").read_text())["plan"]


def test_the_parents_plan_is_kept(bench, parent):
    bench.run("prepare", "store-like", split=bench.folder / "split", parent=parent)
    bench.run("prepare", "store-like-store", split=bench.folder / "split", parent=bench.out("store"))

    assert read_plan(bench.out("store-like")) == read_plan(bench.out("store"))
    assert read_plan(bench.out("store-like-store")) == read_plan(bench.out("store"))


@pytest.mark.parametrize(("option", "value"), [("--spacing", "1,1,1"), ("--patch", "8,8,8"), ("--filters", "4,8,16")])
def test_what_the_parent_decides_cannot_be_chosen(bench, parent, option, value):
    log = bench.run("prepare", "store-other", option, value, code=2, split=bench.folder / "split", parent=parent)

    assert f"{option} must not be given with a parent, whose plan is kept" in log


def test_a_parent_of_another_plan_is_refused(bench, parent):
    bench.run("prepare", "store-small", "--patch", "16,16,16", "--filters", "6,12,24", split=bench.folder / "split")
    given = stores(bench) | {"store": bench.out("store-small")}
    bench.run("prepare-labels", "labels-small", store=bench.out("store-small"), labels=bench.labels)
    given |= {"labels": bench.out("labels-small"), "reference": bench.out("labels-small")}

    log = bench.run("train", "misfit", *SHORT, code=2, **given, parent=parent)

    assert "parent must have the plan of the store, but differs in patch" in log


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_finetuning_beats_no_pretraining_at_equal_steps(bench, parent, seed):
    bench.run("train", f"child-{seed}", *CHILD, "--seed", seed, **stores(bench), parent=parent)
    bench.run("train", f"scratch-{seed}", *CHILD, "--seed", seed, **stores(bench))

    dice = [last_validation(bench.out(f"{name}-{seed}")) for name in ("child", "scratch")]
    assert dice[0] > dice[1] + 0.1


def last_validation(folder):
    import polars as pl

    return pl.read_parquet(folder / "log.parquet")["validation_dice"][-1]


def test_where_the_organs_differ_the_heads_are_new_and_the_rest_is_the_parents(bench, parent):
    content = torch.load(parent / "model.pt", weights_only=True)
    content["labels"] = {1: "pancreas", 2: "stomach"}
    renamed = bench.folder / "renamed-parent"
    renamed.mkdir()
    torch.save(content, renamed / "model.pt")
    (renamed / "run.json").write_text(json.dumps({"outputs": {"model.pt": "other"}}))
    frozen = ("--epochs", "1", "--batches-per-epoch", "1", "--learning-rate", "0.0")

    bench.run("train", "new-heads", *frozen, "--weight-decay", "0", **stores(bench), parent=renamed)

    found = torch.load(bench.out("new-heads") / "model.pt", weights_only=True)["weights"]
    same = {name: bool(torch.equal(found[name], content["weights"][name])) for name in found}
    assert np.all([same[name] != name.startswith(("output_block", "deep_supervision_heads", "heads")) for name in same])
