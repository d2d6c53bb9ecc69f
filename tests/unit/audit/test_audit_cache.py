"""An audit that keeps what it has read: one that was broken off goes on, and only what has changed is read again."""

from pathlib import Path

import pytest

from contract.datasets import Dataset, open_dataset
from contract.errors import UsageError
from coordinator.datasets.audit import audit
from coordinator.datasets.audit.audit import audit_datasets
from coordinator.datasets.phantom import make_phantom


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    make_phantom(tmp_path / "data" / "given", cases=4, shape=(24, 20, 12))
    return open_dataset(tmp_path / "data", "given")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cases that are read, in their order."""
    cases: list[str] = []
    inspect = audit.inspect_case

    def note(image: Path, dataset: Dataset, case: str) -> object:
        cases.append(case)
        return inspect(image, dataset, case)

    monkeypatch.setattr(audit, "inspect_case", note)
    return cases


def test_a_second_audit_reads_nothing_and_finds_the_same(dataset: Dataset, read: list[str], tmp_path: Path):
    first = audit_datasets([dataset], tmp_path / "cache.jsonl")[0]
    assert read == dataset.cases()

    second = audit_datasets([dataset], tmp_path / "cache.jsonl")[0]

    assert read == dataset.cases()
    assert second.summary() == first.summary()
    assert second.check == first.check


def test_an_audit_that_was_broken_off_goes_on(dataset: Dataset, read: list[str], tmp_path: Path):
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit_datasets([dataset], tmp_path / "cache.jsonl", stop)
    with (tmp_path / "cache.jsonl").open("ab") as stream:
        stream.write(b'["given", "phantom_003", [')  # as where power failed

    audit_datasets([dataset], tmp_path / "cache.jsonl")

    assert read == dataset.cases()
    assert len((tmp_path / "cache.jsonl").read_text().splitlines()) == 5  # and the line that was cut


def test_what_changed_is_read_again(dataset: Dataset, read: list[str], tmp_path: Path):
    audit_datasets([dataset], tmp_path / "cache.jsonl")
    dataset.label("phantom_002").write_bytes(dataset.label("phantom_003").read_bytes())
    (dataset.folder / "dataset.yaml").write_text(
        (dataset.folder / "dataset.yaml").read_text() + "exclude: {phantom_001: for this test}\n"
    )
    read.clear()

    audit_datasets([open_dataset(dataset.folder.parent, "given")], tmp_path / "cache.jsonl")

    assert read == ["phantom_002"]


def test_a_case_with_errors_is_read_again_since_the_disk_may_have_been_the_reason(
    dataset: Dataset, read: list[str], tmp_path: Path
):
    dataset.image("phantom_004").write_bytes(b"")
    for _ in range(2):
        found = audit_datasets([dataset], tmp_path / "cache.jsonl")[0]

    assert read == [*dataset.cases(), "phantom_004"]
    assert found.check.cases == ("phantom_001", "phantom_002", "phantom_003")


def test_another_name_of_an_organ_makes_the_cases_be_read_again(dataset: Dataset, read: list[str], tmp_path: Path):
    audit_datasets([dataset], tmp_path / "cache.jsonl")
    file = dataset.folder / "dataset.yaml"
    file.write_text(file.read_text().replace("kidney_left", "colon"))

    audit_datasets([open_dataset(dataset.folder.parent, "given")], tmp_path / "cache.jsonl")

    assert len(read) == 8


def test_a_repair_that_links_the_files_does_not_make_them_be_read_again(
    dataset: Dataset, read: list[str], tmp_path: Path
):
    audit_datasets([dataset], tmp_path / "cache.jsonl")
    read.clear()
    for number, case in enumerate(dataset.cases()):
        (tmp_path / f"linked_{number}").hardlink_to(dataset.image(case))

    for _ in range(2):
        audit_datasets([dataset], tmp_path / "cache.jsonl")

    assert read == []
    assert len((tmp_path / "cache.jsonl").read_text().splitlines()) == 8


def test_two_datasets_of_one_name_do_not_push_each_other_out(dataset: Dataset, read: list[str], tmp_path: Path):
    make_phantom(tmp_path / "other" / "given", cases=4, seed=1, shape=(24, 20, 12))
    both = [dataset, open_dataset(tmp_path / "other", "given")]
    audit_datasets(both, tmp_path / "cache.jsonl")
    read.clear()

    audit_datasets(both, tmp_path / "cache.jsonl")

    assert read == []


@pytest.mark.parametrize("content", ["", "\n", "[", '["given", "phant'])
def test_what_a_crash_left_of_the_first_line_is_gone_on_with(content: str, dataset: Dataset, tmp_path: Path):
    (tmp_path / "cache.jsonl").write_text(content)

    audit_datasets([dataset], tmp_path / "cache.jsonl")

    assert len((tmp_path / "cache.jsonl").read_text().split('["given", "phantom_00')) >= 5


@pytest.mark.parametrize("content", ['{\n "datasets": []\n}\n', "my notes\n"])
def test_a_file_that_is_no_cache_is_refused_and_stays_as_it_is(
    content: str, dataset: Dataset, read: list[str], tmp_path: Path
):
    (tmp_path / "notes.txt").write_text(content)

    with pytest.raises(UsageError, match="notes.txt: must be a file that `--cache` made"):
        audit_datasets([dataset], tmp_path / "notes.txt")

    assert (tmp_path / "notes.txt").read_text() == content
    assert read == []
