"""Label sets of the user and combinations of versions: what they cover, what follows, and what can't be used."""

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.labelsets import EXPERT

from contract.errors import UsageError
from coordinator.study.cost import describe_cost
from coordinator.study.file import load_study
from coordinator.study.pipeline import check_datasets
from coordinator.study.steps import Plan
from coordinator.tools.finding import find_tools

SETS = f"versions: [{{name: expert, labels: {EXPERT}}}]\n"
TRAIN = "train: {seeds: [0, 1], noise_seeds: [2], holdout: 0.4}\n"
MAPPED = """
labels: {11: leber, 12: milz}
map: {liver: [leber], spleen: [milz]}
unavailable: {kidney_right: not drawn, kidney_left: not drawn, stomach: not drawn, aorta: not drawn, pancreas: not drawn}
"""


def cases(*numbers: int) -> list[str]:
    return [f"phantom_{number:03d}" for number in numbers]


def rewrite(file: Path, change: Callable[[np.ndarray], np.ndarray], affine: np.ndarray | None = None) -> None:
    image = nib.load(file)
    array = change(np.asarray(image.dataobj)).astype(np.uint8)
    nib.save(nib.Nifti1Image(array, image.affine if affine is None else affine, image.header), file)


def test_a_label_set_is_a_version_that_no_tool_makes(plan: Callable[..., Plan]):
    made = plan(SETS)

    assert [(step.id, step.kind, step.cases) for step in made.steps] == [
        ("toy/2-labels/base", "labels", 6),
        ("toy/2-labels/expert", "labels", 4),
        ("toy/3-scores/expert", "score", 4),
    ]
    assert made.about["versions"] == {"toy": ["expert"]}
    assert made.about["covered"] == {"toy": {"expert": cases(1, 2, 3, 4)}}


def test_with_an_expert_as_reference_the_datasets_own_labels_are_compared_with_the_experts(plan: Callable[..., Plan]):
    made = plan(f"{SETS}reference: expert\ngenerators: [degrade]\n{TRAIN}")
    score, train = made.step("toy/3-scores/base"), made.step("toy/5-models/base/seed-0")

    assert made.about["versions"] == {"toy": ["base", "degrade"]}
    assert (score.settings["reference"], score.settings["prediction"]) == (
        "datasets/toy/2-labels/expert",
        "datasets/toy/2-labels/base",
    )
    assert train.inputs["reference"] == "datasets/toy/4-store/expert"
    seeds = {v: [s for s in range(3) if f"toy/5-models/{v}/seed-{s}" in {step.id for step in made.steps}]
             for v in ("expert", "base", "degrade")}  # fmt: skip
    assert seeds == {"expert": [0, 1, 2], "base": [0, 1], "degrade": [0, 1]}
    assert not any(made.about["marks"]["degrade"].values())


def test_networks_are_tested_where_the_reference_has_labels_and_trained_where_every_version_has(
    plan: Callable[..., Plan], toy: Path
):
    (toy / "second").mkdir()
    for case in cases(1, 2, 5, 6):
        (toy / "second" / f"{case}.nii.gz").write_bytes((toy / "labels" / f"{case}.nii.gz").read_bytes())
    sets = f"versions: [{{name: expert, labels: {EXPERT}}}, {{name: second, labels: second}}]\n"

    by_expert = plan(f"{sets}reference: expert\n{TRAIN}").about["split"]["toy"]
    given = "train: {split: {train: [phantom_001, phantom_002, phantom_003, phantom_006], holdout: [phantom_004]}}\n"
    by_hand = plan(f"{sets}reference: expert\n{given}").about["split"]["toy"]

    assert set(by_expert["holdout"]) < set(cases(1, 2, 3, 4))
    assert set(by_expert["train"]) == set(cases(1, 2)) - set(by_expert["holdout"])
    assert by_hand == {"train": cases(1, 2), "holdout": cases(4)}


def test_a_scan_that_nobody_labelled_again_is_on_no_side_even_if_its_twin_is_held_out(
    plan: Callable[..., Plan], toy: Path
):
    for number in (1, 2, 3, 4):
        for kind in ("images", "labels"):
            source = toy / kind / f"phantom_{number:03d}.nii.gz"
            (toy / kind / f"twin_{number}.nii.gz").write_bytes(source.read_bytes())

    split = plan(f"{SETS}reference: expert\n{TRAIN}").about["split"]["toy"]

    assert {*split["train"], *split["holdout"]} == set(cases(1, 2, 3, 4))


def test_a_renamed_organ_redoes_what_is_made_of_a_label_set(plan: Callable[..., Plan], toy: Path):
    before = plan(SETS).step("toy/2-labels/expert").fingerprint
    description = toy / "dataset.yaml"
    description.write_text(description.read_text().replace("liver", "hepar"))

    assert plan(SETS).step("toy/2-labels/expert").fingerprint != before


def test_the_cost_counts_the_cases_that_the_reference_has(plan: Callable[..., Plan], toy: Path):
    made = plan(f"{SETS}reference: expert\n{TRAIN}")

    lines = describe_cost(load_study(toy.parents[1] / "study.yaml", find_tools()), made, (), 0.95)

    assert "with 2 held-out cases (of 4 cases that expert has labels of)" in lines[-1]
    assert "which takes 8 cases with reference labels with `holdout: 0.4`" in lines[-1]


def test_it_is_said_which_cases_a_set_leaves_out(plan: Callable[..., Plan], toy: Path):
    plan(f"{SETS}reference: expert\n{TRAIN}")
    (toy / EXPERT / "phantom_099.nii.gz").write_bytes(b"")

    warnings = check_datasets(load_study(toy.parents[1] / "study.yaml", find_tools()))["toy"].warnings

    assert "expert: labels_expert: labels of no case of toy: phantom_099" in warnings
    assert (
        "expert has labels of 4 of 6 cases; networks are tested and trained on these alone; without are phantom_005, "
        "phantom_006"
    ) in warnings


def test_other_labels_of_an_expert_redo_what_reads_them_and_nothing_else(plan: Callable[..., Plan], toy: Path):
    study = f"{SETS}generators: [degrade]\n{TRAIN}"
    before = {step.id: step.fingerprint for step in plan(study).steps}
    rewrite(toy / EXPERT / "phantom_002.nii.gz", lambda labels: labels[::-1])

    after = {step.id: step.fingerprint for step in plan(study).steps}

    assert {name.split("/seed")[0] for name in after if after[name] != before[name]} == {
        f"toy/{place}/expert" for place in ("2-labels", "3-scores", "4-store", "5-models", "6-predictions")
    }


def test_a_set_of_other_ids_is_mapped_by_name_and_lacking_organs_leave_the_means(plan: Callable[..., Plan], toy: Path):
    (toy.parents[1] / "old.yaml").write_text(MAPPED)
    for file in (toy / EXPERT).iterdir():
        rewrite(file, lambda labels: np.where(labels == 1, 11, 0))

    made = plan(SETS.replace("}]", ", remap: old.yaml}]"))
    organs = {organ: int(label) for label, organ in made.about["labels"]["toy"].items()}

    assert made.step("toy/2-labels/expert").settings["to_target"] == {"11": organs["liver"], "12": organs["spleen"]}
    assert made.about["common_labels"]["toy"] == sorted([organs["liver"], organs["spleen"]])
    assert made.about["excluded_labels"]["toy"]["aorta"] == "not drawn"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:99]), "gzip stream is truncated"),
        (lambda file: rewrite(file, lambda labels: labels[1:]), "grid"),
        (lambda file: rewrite(file, lambda labels: labels, np.diag([9.0, 9, 9, 1])), "grid"),
        (lambda file: rewrite(file, lambda labels: labels + 50), "50"),
    ],
    ids=["truncated", "another shape", "another spacing", "unknown ids"],
)
def test_a_case_whose_expert_labels_cannot_be_used_is_set_aside_by_name(
    plan: Callable[..., Plan], toy: Path, change: Callable[[Path], object], said: str
):
    change(toy / EXPERT / "phantom_003.nii.gz")

    made = plan(SETS)
    check = check_datasets(load_study(toy.parents[1] / "study.yaml", find_tools()))["toy"]

    assert made.about["cases"]["toy"] == cases(1, 2, 4, 5, 6)
    assert made.about["covered"]["toy"]["expert"] == cases(1, 2, 4)
    (error,) = check.set_aside["phantom_003"]
    assert error.startswith(str(toy / EXPERT / "phantom_003.nii.gz"))
    assert said in error


def test_checked_sets_are_read_again_only_where_files_changed(
    plan: Callable[..., Plan], toy: Path, monkeypatch: pytest.MonkeyPatch
):
    from coordinator.datasets import labelsets

    plan(SETS)
    read, real = [], labelsets._read_one
    monkeypatch.setattr(labelsets, "_read_one", lambda file, *others: read.append(file.name) or real(file, *others))
    rewrite(toy / EXPERT / "phantom_002.nii.gz", lambda labels: labels[::-1])

    plan(SETS)

    assert read == ["phantom_002.nii.gz"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "generators: must name what makes label versions, or `versions` label sets, but both lack"),
        (f"{SETS}reference: experts\n", "it is 'experts'; did you mean `expert`?"),
        ("generators: [degrade]\nreference: degrade\n", "reference: must be `base` or the name of a label set"),
        (f"versions: [{{name: base, labels: {EXPERT}}}]\n", "versions: the name `base` is taken by the dataset's own"),
        (f"{SETS}generators: [{{name: expert, tool: degrade}}]\n", "versions: the name 'expert' came twice"),
        ("versions: [{name: x, labels: labels_x}]\n", "a label set must be a folder .* but there is none; check `labels:`"),
        ("versions: [{name: x, labels: empty}]\n", "must hold labels of a case of toy, such as phantom_001.nii.gz, but has"),
        (SETS.replace("}]", ", remap: no.yaml}]"), "no.yaml"),
        (SETS.replace("}]", ", remap: wrong.yaml}]"), "liver: organ of the dataset is neither mapped nor unavailable"),
        (
            f"{SETS}reference: expert\ntrain: {{split: {{train: [phantom_001], holdout: [phantom_006]}}}}\n",
            "held-out cases must have labels in expert, the reference, but these have none: phantom_006",
        ),
        (
            f"{SETS}train: {{split: {{train: [phantom_005], holdout: [phantom_001]}}}}\n",
            r"no training case is one \(expert 4 of 6\)",
        ),
        ("versions: [{name: x, labels: images}]\n", "none of its 6 label maps can be used; the first: .*phantom_001"),
        ("versions: [{name: x, labels: ../../runs/s/old}]\n", r"but `versions` \(.*/runs/s/old\) lies in it"),
        ("out: data/rest\nversions: [{name: x, labels: ../rest}]\n", "a run folder must not lie in a label set"),
        (
            "datasets: [toy, toy2]\nversions: [{name: x, labels: ../shared}]\n",
            "must be another folder for each dataset, but `labels: ../shared` is one",
        ),
        (
            SETS.replace("}]", ", remap: mapped.yaml}]") + f"reference: expert\ntransfer: [toy]\n{TRAIN}",
            "transfer: toy: networks are tested on all its organs, but expert, the reference, has none of kidney_right",
        ),
        (
            f"versions: [{{name: expert, labels: {EXPERT}}}, {{name: rest, labels: rest}}]\nreference: expert\n",
            "rest must have labels of a case that expert, the reference, has labels of, but they share none",
        ),
    ],
)  # fmt: skip
def test_a_set_that_can_answer_nothing_is_refused_before_anything_runs(
    plan: Callable[..., Plan], toy: Path, text: str, said: str
):
    (toy / "empty").mkdir()
    (toy / "rest").mkdir()
    (toy / "rest" / "phantom_006.nii.gz").write_bytes((toy / "labels" / "phantom_006.nii.gz").read_bytes())
    shutil.copytree(toy, toy.parent / "toy2")
    (toy.parent / "toy2" / "dataset.yaml").write_text(
        (toy / "dataset.yaml").read_text().replace("name: toy", "name: toy2")
    )
    (toy.parents[1] / "mapped.yaml").write_text(
        MAPPED.replace("11: leber, 12: milz", "1: leber, 2: milz, 3: c, 4: d, 5: e, 6: f, 7: g") + "discard: others\n"
    )
    (toy.parents[1] / "wrong.yaml").write_text("labels: {1: lung}\nmap: {}\ndiscard: others\n")

    with pytest.raises(UsageError, match=said):
        plan(text)


ALL_SOUND = "exclude: {toy: {phantom_005: no expert, phantom_006: no expert}}\n"
VOTE = "{name: vote, tool: consensus}"


def test_a_consensus_waits_for_what_it_combines_and_is_marked_as_that(plan: Callable[..., Plan]):
    made = plan(f"{ALL_SOUND}{SETS}generators: [{VOTE}, {{name: d, tool: degrade}}]\n")
    step = made.step("toy/1-raw/vote")

    assert step.needs == ("toy/2-labels/expert", "toy/2-labels/d")
    assert step.inputs["label-versions/expert"] == "datasets/toy/2-labels/expert"
    assert made.about["versions"]["toy"] == ["expert", "vote", "d"]
    assert made.about["marks"]["vote"]["made_from_reference"]
    assert not step.shows_labels


def test_a_consensus_of_the_reference_itself_is_marked_as_made_from_it(plan: Callable[..., Plan]):
    generator = "{name: vote, tool: consensus, of: [base, expert]}"

    for reference in ("base", "expert"):
        made = plan(f"{ALL_SOUND}{SETS}reference: {reference}\ngenerators: [{generator}]\n")
        assert made.about["marks"]["vote"]["made_from_reference"]


def test_cases_of_which_only_one_version_has_labels_are_not_combined(plan: Callable[..., Plan]):
    generator = "{name: vote, tool: consensus, of: [base, expert]}"

    with pytest.raises(UsageError, match="vote needs labels of 2 versions .* fewer have phantom_005, phantom_006"):
        plan(f"{SETS}generators: [{generator}]\n")


@pytest.mark.parametrize(
    ("generators", "said"),
    [
        (
            "[{name: d, tool: degrade, of: [base]}]",
            "d: of: degrade makes its labels from images, so it combines no versions",
        ),
        (f"[{VOTE}]", r"vote: of: must be at least 2 different label versions, but is \['expert'\]"),
        ("[{name: v, tool: consensus, of: [base, base]}]", "must be at least 2 different label versions"),
        ("[{name: v, tool: consensus, of: [expart, base]}]", "'expart' is none; did you mean `expert`?"),
        (f"[{VOTE}, {{name: w, tool: consensus, of: [vote, base]}}]", "but 'vote' is none"),
    ],
)
def test_what_cannot_be_combined_is_named(plan: Callable[..., Plan], generators: str, said: str):
    with pytest.raises(UsageError, match=said):
        plan(f"{SETS}generators: {generators}\n")
