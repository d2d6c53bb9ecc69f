"""A tool of several steps: all in order, or one by one."""

import pytest
from helpers.brighttool import Place

STEPPED = """
from contract import Cases, Job, run

def count(context):
    text = " ".join(context.cases)
    (context.folder / "count.txt").write_text(text)

def load(context):
    return len((context.input_folder("counted") / "count.txt").read_text().split())

def segment(number, case):
    return (case.image.array > 100) * (number > 0)

if __name__ == "__main__":
    raise SystemExit(run(__file__, {"count": Job(count), "mark": Cases(load, segment)}))
"""


@pytest.fixture
def stepped(place: Place) -> Place:
    """A tool that first counts, then marks; `counted` is what the second step calls the first one's results."""
    manifest = place.tool / "manifest.yaml"
    steps = "{count: {summary: counts}, mark: {summary: marks, inputs: {counted: count}, reads: [images]}}"
    manifest.write_text(manifest.read_text() + f"steps: {steps}\n")
    (place.tool / "tool.py").write_text(STEPPED)
    return place


def test_without_a_step_all_are_done_in_order_and_a_second_run_is_a_no_op(stepped: Place) -> None:
    first = stepped.run()
    times = stepped.times()
    second = stepped.run()

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert (stepped.out / "toy" / ".bright-one" / "count" / "count.txt").read_text() == "a b c"
    assert set(times) == {"a.nii.gz", "b.nii.gz", "c.nii.gz"}
    assert stepped.times() == times
    assert "count: already done" in second.stderr


def test_a_step_that_reads_labels_is_redone_when_their_meaning_changes(stepped: Place) -> None:
    manifest = stepped.tool / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("{summary: counts}", "{summary: counts, reads: [labels]}"))
    stepped.run("--step", "count")
    same = stepped.run("--step", "count")
    (stepped.dataset / "dataset.yaml").write_text("name: toy\nlabels: {1: dark}\n")
    other = stepped.run("--step", "count")

    assert "already done" in same.stderr
    assert other.returncode == 0, other.stderr
    assert "already done" not in other.stderr


@pytest.mark.parametrize(("labels", "done_again"), [("from-dataset", True), ("{1: bright}", False)])
def test_a_step_of_a_tool_that_finds_organs_by_their_names_is_redone_when_they_have_others(
    stepped: Place, labels: str, done_again: bool
) -> None:
    manifest = stepped.tool / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("{1: bright}", labels))
    stepped.run("--step", "count")
    (stepped.dataset / "dataset.yaml").write_text("name: toy\nlabels: {1: dark}\n")

    again = stepped.run("--step", "count")

    assert again.returncode == 0, again.stderr
    assert ("already done" not in again.stderr) == done_again


def test_one_step_reads_the_results_of_another_below_inputs(stepped: Place) -> None:
    alone = stepped.run("--step", "mark")
    counted = stepped.data / "counted"
    counted.mkdir()
    (counted / "count.txt").write_text("a b")
    given = stepped.run("--step", "mark")

    assert alone.returncode == 2
    assert "counted: must hold the results of an earlier step" in alone.stderr
    assert given.returncode == 0, given.stderr


def test_an_input_that_a_person_made_counts_by_its_files(stepped: Place) -> None:
    manifest = stepped.tool / "manifest.yaml"
    manifest.write_text(
        manifest.read_text().replace("{summary: counts}", "{summary: counts, optional_inputs: [split]}")
    )
    split = stepped.data / "split"
    split.mkdir()
    (split / "holdout.txt").write_text("a\n")
    stepped.run("--step", "count")
    same = stepped.run("--step", "count")
    (split / "holdout.txt").write_text("b\n")
    other = stepped.run("--step", "count")

    assert "already done" in same.stderr
    assert other.returncode == 0 and "already done" not in other.stderr


def test_a_step_that_asks_for_an_input_that_nobody_makes_is_refused(stepped: Place) -> None:
    manifest = stepped.tool / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("counted: count}", "counted: cuont}"))

    done = stepped.run()

    assert done.returncode == 2
    assert "steps.mark.inputs: 'cuont' is no earlier step" in done.stderr


def test_a_step_that_fails_leaves_no_record_of_the_results_that_it_was_to_replace(stepped: Place) -> None:
    stepped.run("--step", "count")
    record = next(stepped.out.rglob("count.txt")).with_name("run.json")
    failing = STEPPED.replace("text = ", "raise CaseError('no case can be used'); text = ")
    (stepped.tool / "tool.py").write_text(failing.replace("Cases, Job, run", "CaseError, Cases, Job, run"))

    failed = stepped.run("--step", "count", "--overwrite")

    assert failed.returncode == 3, failed.stderr
    assert not record.exists()


def test_a_step_with_cases_that_the_machine_could_not_do_is_done_again(stepped: Place) -> None:
    status = "CaseStatus('a', 'failed', '', None, 'no memory', retry=True)"
    write = (
        f"from contract.records import CaseStatus, write_statuses; write_statuses(context.folder, {{'a': {status}}})"
    )
    (stepped.tool / "tool.py").write_text(STEPPED.replace("text = ", f"{write}; text = "))

    stepped.run("--step", "count")
    again = stepped.run("--step", "count")

    assert again.returncode == 0, again.stderr
    assert "already done" not in again.stderr
