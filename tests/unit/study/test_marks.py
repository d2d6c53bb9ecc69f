"""What a version owes to the reference labels follows from its tool's manifest and its options."""

import pytest

from contract.manifest import Manifest
from coordinator.study.marks import Marks, find_marks
from coordinator.tools.finding import find_tools

TOOLS = find_tools()


def marks_of(tool: str, *, has_held_out: bool = True, **options: object) -> Marks:
    manifest = TOOLS[tool].manifest
    values = {name.replace("_", "-"): value for name, value in options.items()}
    return find_marks(manifest, manifest.complete_options(values), has_held_out=has_held_out)


@pytest.mark.parametrize("tool", ["nnunet", "medsam", "degrade", "nninteractive"])
def test_tools_that_are_shown_the_reference_labels_make_versions_from_them(tool: str):
    assert marks_of(tool).made_from_reference


@pytest.mark.parametrize("tool", ["stunet", "totalseg", "voxtell"])
def test_versions_of_other_tools_have_no_mark(tool: str):
    assert marks_of(tool) == Marks()


@pytest.mark.parametrize("tool", ["medsam", "nninteractive"])
def test_prompted_versions_are_marked_and_none_of_their_networks_was_trained_here(tool: str):
    assert marks_of(tool) == Marks(made_from_reference=True, prompted_from_reference=True)


def test_nnunets_five_folds_over_all_cases_have_seen_the_held_out_ones():
    assert marks_of("nnunet") == Marks(made_from_reference=True, labeller_saw_held_out=True)


def test_a_study_without_held_out_cases_has_none_to_see():
    assert not marks_of("nnunet", has_held_out=False).labeller_saw_held_out


def trains(**training: object) -> Manifest:
    return Manifest.model_validate({
        "contract": 1, "name": "outside", "version": "1.0.0", "kind": "generator", "summary": "s", "licence": "MIT",
        "needs": ["labels"], "default_variant": "v", "variants": {"v": {"summary": "s", "labels": "from-dataset"}},
        "options": {"apart": {"type": "bool", "default": False, "help": "h"}},
        "trains_on_labels": training,
    })  # fmt: skip


def test_a_tool_from_outside_goes_by_its_own_manifest():
    always, optional = trains(), trains(without_held_out={"apart": True})

    assert find_marks(always, {"apart": True}, has_held_out=True).labeller_saw_held_out
    assert find_marks(optional, {"apart": False}, has_held_out=True).labeller_saw_held_out
    assert not find_marks(optional, {"apart": True}, has_held_out=True).labeller_saw_held_out


def test_options_that_a_manifest_names_must_be_its_own():
    with pytest.raises(ValueError, match="outside has no option 'part'; did you mean `apart`"):
        trains(without_held_out={"part": True})


def test_a_tool_that_trains_on_labels_must_ask_for_them():
    content = trains().model_dump() | {"needs": []}

    with pytest.raises(ValueError, match="trains_on_labels: must come with `needs: \\[labels\\]`"):
        Manifest.model_validate(content)
