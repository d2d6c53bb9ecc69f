"""The methods section."""

import json
import re
from pathlib import Path

import pytest
from helpers.added import ID, make_added
from helpers.reports import make_report, visible_text
from helpers.runs import make_run, write_json

from contract.errors import UsageError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the run as it is, for tests that only look."""
    return make_report(make_run(tmp_path_factory.mktemp("made")))


def test_the_methods_cite_what_was_used_in_the_order_of_first_use(made: Path):
    html = (made / "index.html").read_text(encoding="utf-8")
    section = html[html.index('<section id="methods">') :]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section[: section.index("</section>")]))
    assert "Dataset word [2] (5 cases, 3 organs)" in text
    assert "medsam was made with medsam 0.3.0, MedSAM" in text
    assert "the prompts of medsam were made from the reference labels." in text
    assert "8 epochs of 250 batches of 2 patches" in text and "word: 2 and 3" in text
    assert "robust for cases as clusters" in text and "one corrected for skewness" in text
    assert "share a chance of 5 % of any wrong outcome" in text and "in at least " in text
    assert "With one seed, intervals hold for these networks only, and no outcome is given." in text
    works = re.findall(r"<li>(.*?)</li>", section[: section.index("</section>")])
    cited = [int(n) for group in re.findall(r"\[([\d, ]+)\]", text) for n in group.split(", ")]
    assert list(dict.fromkeys(cited)) == list(range(1, len(works) + 1))
    assert (made / "references.bib").read_text(encoding="utf-8").count("\n@") + 1 == len(works)


def test_the_methods_name_the_further_networks_on_the_reference_labels(tmp_path: Path):
    run = make_run(tmp_path)
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    write_json(run / "plan.json", {**plan, "noise_seeds": [5, 6]})

    text = visible_text(make_report(run) / "index.html")

    assert "On the reference labels, further networks (seeds 5 and 6) showed how much a network varies" in text
    assert "on the reference labels alone also 5, 6" in text
    assert "1 seed of each network and 2 more of that on the reference labels" in text


@pytest.mark.parametrize(
    ("values", "check"),
    [
        ({}, "which keeps the tool contract: 3 rules hold"),
        ({"checks": {}, "skip_check": True}, "which was not checked"),
    ],
    ids=["checked", "unchecked"],
)
def test_the_methods_say_which_tool_is_a_foreign_image_and_whether_it_was_checked(
    values: dict[str, object], check: str, tmp_path: Path
):
    run = make_run(tmp_path)
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    kept = make_added(**values).model_dump(mode="json")
    write_json(run / "plan.json", {**plan, "added_tools": {"totalseg": kept}})
    record = run / "datasets/word/1-raw/totalseg/run.json"
    write_json(record, {**json.loads(record.read_text()), "tool": "brightness", "version": "2.0.0", "variant": "v1"})

    text = visible_text(make_report(run) / "index.html")

    made = "totalseg was made with brightness 2.0.0, variant v1, Brightness 2"
    assert f"an image that does not belong to this project: lab/seg:1 ({ID}), {check}" in text
    assert made in text
    assert "Bright voxels are bone" in text


def test_a_plan_that_does_not_hold_its_images_as_it_should_is_refused(tmp_path: Path):
    run = make_run(tmp_path)
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    write_json(run / "plan.json", {**plan, "added_tools": {"totalseg": {"image": "lab/seg:1"}}})

    with pytest.raises(UsageError, match="plan.json: must be as it was written, but id: Field required; .* again"):
        make_report(run)
