"""Values of a study file that have the right type and can't work: refused before anything runs, with the range."""

from pathlib import Path

import pytest

from contract.errors import UsageError
from coordinator.study.file import load_study
from coordinator.tools.finding import Tool, find_tools


@pytest.fixture(scope="module")
def tools() -> dict[str, Tool]:
    return find_tools()


def problems(tmp_path: Path, tools: dict[str, Tool], **keys: str) -> list[str]:
    """The lines of what is said about a study file with these keys."""
    file = tmp_path / "study.yaml"
    content = {"name": "toy", "datasets": "[toy]", "generators": "[medsam]"} | keys
    file.write_text("".join(f"{key}: {value}\n" for key, value in content.items()))
    with pytest.raises(UsageError) as caught:
        load_study(file, tools)
    head, *lines = str(caught.value).splitlines()
    assert head.startswith(f"{file}: ")
    return lines


def test_a_recipe_that_cannot_work_is_refused_with_a_line_for_each_key(tmp_path: Path, tools: dict[str, Tool]):
    lines = problems(tmp_path, tools, train='{patch: "0,0,0", filters: "0", spacing: ".,..,..."}')

    assert lines == [
        "  train: patch must be auto or 3 whole numbers of 1 to 4096 with commas between them, but it is '0,0,0'",
        "  train: spacing must be median or 3 numbers of 0.05 to 100 with commas between them, but it is '.,..,...'",
        "  train: filters must be auto or 3 to 10 whole numbers of 1 to 4096 with commas between them, but it is '0'",
    ]


@pytest.mark.parametrize(
    ("section", "value", "said"),
    [
        ("train", '{patch: "8,8,8"}', "patch must have at least 16 voxels along one of its axes, but it is '8,8,8'"),
        ("train", '{patch: "16,16"}', "patch must be auto or 3 whole numbers"),
        ("train", '{patch: "99999999999999999999,16,16"}', "patch must be auto or 3 whole numbers of 1 to 4096"),
        ("train", '{patch: "\\uff11\\uff16,16,16"}', "patch must be auto or 3 whole numbers"),
        ("train", '{spacing: "0,1,1"}', "spacing must be median or 3 numbers of 0.05 to 100"),
        ("train", '{spacing: "1e9,1,1"}', "spacing must be median or 3 numbers"),
        ("train", '{spacing: "nan,1,1"}', "spacing must be median or 3 numbers"),
        ("train", '{filters: "8,16"}', "filters must be auto or 3 to 10 whole numbers"),
        ("train", '{filters: ""}', "filters must be auto or 3 to 10 whole numbers"),
        ("train", "{learning_rate: .nan}", "train.learning_rate: must be a finite number, but it is nan"),
        ("train", "{learning_rate: 0}", "train.learning_rate: must be greater than 0"),
        ("train", "{epochs: 0}", "train.epochs: must be greater than or equal to 1, but it is 0"),
        ("train", "{epochs: 10000000000}", "train.epochs: must be less than or equal to 1000000"),
        ("train", "{batch_size: -1}", "train.batch_size: must be greater than or equal to 1, but it is -1"),
        ("train", "{batches_per_epoch: 0}", "train.batches_per_epoch: must be greater than or equal to 1"),
        ("train", "{seeds: [2147483648]}", "train.seeds: seeds must be at most 2147483647, but one is 2147483648"),
        ("train", "{split_seed: 99999999999}", "train.split_seed: must be less than or equal to 2147483647"),
        ("train", "{split: {train: [a]}}", "must give `train` and `holdout`, each with a case, or a `file` that has them"),
        ("train", "{split: {file: a.json, train: [a]}}", "must give `train` and `holdout`, each with a case"),
        ("train", "{split: {file: a.json, fold: -1}}", "fold: must be greater than or equal to 0, but it is -1"),
        ("train", "{split: {toi: a.json}}", "train.split: 'toi' is no dataset of this study; did you mean `toy`?"),
        ("train", "{split: 5}", "train.split"),
        ("train", "{holdout: .inf}", "train.holdout: must be a finite number"),
        ("train", "{options: {workers: -1}}", "workers must be at least 0, but it is -1"),
        ("train", "{options: {weight-decay: .inf}}", "train.options.weight-decay: must be a finite number"),
        ("train", "{options: {mirror-axes: xx}}", "mirror-axes must match"),
        ("train", "{options: {foreground: [1]}}", "train.options.foreground: must be a valid boolean, a valid integer, a valid number or a valid string, but it is [1] (list)"),
        ("run", "{gpus: -3}", "run.gpus: must be all, a number of 0 to 1024 or a list of different ones, but it is -3"),
        ("run", "{gpus: [0, 0]}", "run.gpus: must be all, a number of 0 to 1024 or a list of different ones"),
        ("run", "{gpus: some}", "run.gpus: must be 'all', a valid integer or a list such as [a, b], but it is 'some'"),
        ("run", "{cores: 0}", "run.cores: must be greater than or equal to 1"),
        ("run", "{threads: -1}", "run.threads: must be greater than or equal to 1"),
        ("run", "{threads: 100000}", "run.threads: must be less than or equal to 1024"),
        ("score", "{tolerance_mm: .nan}", "score.tolerance_mm: must be a finite number"),
        ("score", "{also_mm: [.inf]}", "score.also_mm.0: must be a finite number"),
        ("verdict", "{alpha: 1e-300}", "verdict.alpha: must be greater than or equal to 0.0001"),
        ("verdict", "{minutes_per_mask: .inf}", "verdict.minutes_per_mask: must be a finite number"),
        ("verdict", "{max_hours_per_point: 0}", "verdict.max_hours_per_point: must be greater than 0"),
        ("datasets", "[../toy]", "datasets.0: must be the name of a folder below `data`, without `/`, but it is '../toy'"),
        ("datasets", "['']", "datasets.0: must be a text on one line, of 1 to 200 characters"),
        ("datasets", f"[{'x' * 300}]", "datasets.0: must be a text on one line, of 1 to 200 characters"),
        ("data", '"a\\nb"', "data: must be a text on one line"),
        ("data", "''", "data: must be a text on one line"),
        ("name", "x" * 200, "name: String should have at most 100 characters"),
        ("generators", "[{name: x, tool: nnunet, options: {patch: '0,0,0'}}]", "generators.0: patch must be auto or 3 whole numbers of 1 to 4096"),
        ("generators", "[{name: x, tool: nnunet, options: {features: '8'}}]", "generators.0: features must be auto or 2 to 10 whole numbers"),
        ("generators", "[{name: x, tool: nnunet, options: {learning-rate: 0}}]", "generators.0: learning-rate must be at least 1e-09"),
        ("generators", "[{name: x, tool: stunet, options: {patch: 100}}]", "generators.0: patch must be a multiple of 32, but it is 100"),
        ("generators", "[{name: x, tool: degrade, options: {erosion-mm: .nan}}]", "generators.0.options.erosion-mm: must be a finite number"),
        ("generators", "[5]", "generators.0: must be a valid string or keys and values, but YAML reads 5 as a number; quote it: '5'"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_work_is_one_line_with_the_range(
    section: str, value: str, said: str, tmp_path: Path, tools: dict[str, Tool]
):
    lines = problems(tmp_path, tools, **{section: value})

    assert len(lines) == 1
    assert said in lines[0]


def test_all_options_of_all_generators_are_checked_at_once(tmp_path: Path, tools: dict[str, Tool]):
    lines = problems(
        tmp_path,
        tools,
        generators="[{name: x, tool: nnunet, options: {epochs: 0, patch: x}}, {name: y, tool: stunet, variant: z}]",
    )

    assert [line.split(" must")[0].split("; ")[0] for line in lines] == [
        "  generators.0: epochs",
        "  generators.0: patch",
        "  generators.1: stunet has no variant 'z'",
    ]


def test_numbers_are_read_as_they_are_meant(tmp_path: Path, tools: dict[str, Tool]):
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: toy\ndatasets: [toy]\ngenerators: &g [medsam]\nrun: {gpus: [0, 1]}\n"
        'train: {learning_rate: 1e-3, patch: "16,16,8", spacing: "1,1.5,.8", options: {weight-decay: 1e-5}}\n'
    )

    train = load_study(file, tools).content.train

    assert train is not None
    assert (train.learning_rate, train.options) == (0.001, {"weight-decay": 0.00001})
