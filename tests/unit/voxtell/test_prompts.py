from pathlib import Path

import pytest
from voxtell_tool.prompts import choose_prompts

from contract import UsageError
from contract.datasets import DatasetDescription
from contract.yamlfiles import load

PUBLISHED = {
    "adrenal glands", "aorta", "colon", "duodenum", "esophagus", "gallbladder", "heart", "inferior vena cava", "kidneys",
    "left adrenal gland", "left femoral head", "left kidney", "left lung upper lobe", "liver", "pancreas",
    "portal vein and splenic vein", "prostate or uterus", "rectum", "right adrenal gland", "right femoral head",
    "right kidney", "small bowel", "spleen", "stomach", "trachea", "urinary bladder",
}  # fmt: skip
"""Of the 14,194 published prompts, those that the datasets of the paper need."""
KNOWN = Path(__file__).resolve().parents[3] / "coordinator" / "coordinator" / "datasets" / "known"


def test_the_name_of_an_organ_is_its_prompt_with_the_side_first():
    organs = {1: "liver", 2: "kidney_left", 4: "lung_upper_lobe_left", 7: "Inferior_Vena_Cava"}

    assert choose_prompts(organs, "", PUBLISHED) == {
        1: "liver", 2: "left kidney", 4: "left lung upper lobe", 7: "inferior vena cava",
    }  # fmt: skip


def test_some_names_mean_something_else_among_the_published_prompts():
    assert choose_prompts({1: "kidney", 2: "Intestine"}, "", PUBLISHED) == {1: "kidneys", 2: "small bowel"}


def test_a_name_without_words_is_refused_rather_than_left_out():
    with pytest.raises(UsageError, match="_: its prompt must be one whose embedding was published"):
        choose_prompts({1: "liver", 2: "_"}, "", PUBLISHED)


def test_prompts_come_in_the_order_of_the_label_ids():
    assert list(choose_prompts({9: "liver", 3: "spleen"}, "", PUBLISHED)) == [3, 9]


@pytest.mark.parametrize("file", sorted(KNOWN.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_organ_of_the_known_datasets_has_a_published_prompt(file: Path):
    organs = load(file, DatasetDescription).labels

    assert list(choose_prompts(organs, "", PUBLISHED)) == sorted(organs)


def test_an_option_gives_other_prompts_and_leaves_organs_out():
    organs = {1: "liver", 2: "gut", 3: "rectum"}

    assert choose_prompts(organs, "gut = Small Bowel;rectum=", PUBLISHED) == {1: "liver", 2: "small bowel"}


def test_a_prompt_for_an_organ_that_the_dataset_has_not_is_refused():
    with pytest.raises(UsageError, match="--prompts: the dataset has no organ 'spleeen'; did you mean `spleen`?"):
        choose_prompts({1: "liver", 2: "spleen"}, "spleeen=spleen", PUBLISHED)


def test_organs_of_the_option_are_found_whatever_their_case():
    assert choose_prompts({1: "Liver", 2: "spleen"}, "liver=Aorta;SPLEEN=", PUBLISHED) == {1: "aorta"}


@pytest.mark.parametrize(
    ("organs", "option", "names"),
    [
        ({1: "adrenal", 2: "adrenal_glands"}, "", "adrenal, adrenal_glands"),
        ({5: "tumour", 3: "liver"}, "tumour=liver", "liver, tumour"),
        ({1: "kidney_left", 2: "Kidney Left"}, "", "kidney_left, Kidney Left"),
    ],
)
def test_one_prompt_for_two_organs_is_refused(organs: dict[int, str], option: str, names: str):
    last = names.rpartition(", ")[2]

    with pytest.raises(UsageError, match=rf"^{names}: must have different prompts, .*leave one out .* '{last}='$"):
        choose_prompts(organs, option, PUBLISHED)


def test_an_organ_without_a_prompt_shares_none():
    assert choose_prompts({1: "kidney_left", 2: "Kidney Left"}, "kidney left=", PUBLISHED) == {1: "left kidney"}


def test_a_prompt_without_an_embedding_is_refused_with_one_like_it():
    with pytest.raises(UsageError, match=r"kidny_left: its prompt must be .* 'left kidny' is none.*left kidney"):
        choose_prompts({1: "kidny_left"}, "", PUBLISHED)


def test_of_thousands_of_prompts_the_nearest_are_named():
    published = PUBLISHED | {f"structure {number}" for number in range(14_000)}

    with pytest.raises(UsageError) as caught:
        choose_prompts({1: "xyzzy"}, "", published)

    message = str(caught.value)
    assert ", and 14006 more. Name another with --prompts 'xyzzy=…'" in message
    assert len(message) < 1000


@pytest.mark.parametrize(("organs", "option"), [({}, ""), ({1: "liver"}, "liver=")])
def test_nothing_to_look_for_is_refused(organs: dict[int, str], option: str):
    with pytest.raises(UsageError, match="needs an organ to look for"):
        choose_prompts(organs, option, PUBLISHED)
