from pathlib import Path

import pytest

from contract import yamlfiles
from contract.datasets import DatasetDescription, open_dataset
from contract.errors import UsageError
from contract.manifest import load_manifest


def load_description(tmp_path: Path, text: str) -> DatasetDescription:
    file = tmp_path / "dataset.yaml"
    file.write_text(text)
    return yamlfiles.load(file, DatasetDescription)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: toy\nlables: {1: liver}", "lables: unknown key; did you mean `labels`?"),
        ("name: Toy!", "name: String should match pattern"),
        ("labels: {1: liver}", "name: must be given, but is missing"),
        ("name: toy\nlabels: {1: liver, 2: liver}", "names must be unique, but ['liver'] came twice"),
        ("name: toy\nlabels: {0: liver}", "0 must be background"),
        ("name: toy\nlabels: {-1: liver}", "ids must lie in 1..65535"),
        ("name: toy\nlabels: {one: liver}", "must be a valid integer, but it is 'one' (str)"),
        ("name: toy\nexclude: [a]", "must give a reason for each case"),
        ("name: toy\nname: tay", "keys must be unique, but name came twice"),
        ("[name, toy]", "must hold keys and values"),
        ("name: [", "must be YAML"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_key_and_value(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_description(tmp_path, text)

    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "dataset.yaml"))


def test_one_message_names_all_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_description(tmp_path, "name: 7\nlabel: {}\nmodality: MR\n")

    assert "3 problems" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 4


def test_background_may_be_named_and_is_no_organ(tmp_path: Path) -> None:
    assert load_description(tmp_path, "name: toy\nlabels: {2: spleen, 0: background, 1: liver}").labels == {
        1: "liver",
        2: "spleen",
    }


def test_a_dataset_must_have_its_folders_name_and_images(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "dataset.yaml").write_text("name: other")
    with pytest.raises(UsageError, match="name must be the folder's, 'toy', but it is 'other'"):
        open_dataset(tmp_path, "toy")

    (tmp_path / "toy" / "dataset.yaml").write_text("name: toy")
    with pytest.raises(UsageError, match="must hold at least one"):
        open_dataset(tmp_path, "toy")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("kind", "model", "must be 'generator' or 'trainer'"),
        ("contract", "2", "contract: must be 1"),
        ("gpu", "yes", "gpu: unknown key"),
        ("default_variant", "large", "has no variant 'large'; valid: one"),
        ("options", "{n: {type: int, default: 12, maximum: 10, help: x}}", "default must be at most 10, but it is 12"),
        ("options", "{n: {type: int, default: many, help: x}}", "default must be int, but it is 'many'"),
    ],
)
def test_a_mistake_in_a_manifest_is_named(key: str, value: str, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    folder.mkdir()
    lines = {
        "contract": "1", "name": "toy", "version": "0.1.0", "kind": "generator", "summary": "x", "licence": "MIT",
        "default_variant": "one", "variants": "{one: {summary: x, labels: {1: liver}}}",
    }  # fmt: skip
    (folder / "manifest.yaml").write_text("".join(f"{k}: {v}\n" for k, v in {**lines, key: value}.items()))

    with pytest.raises(UsageError, match=message):
        load_manifest(folder)


def test_of_many_valid_names_the_nearest_are_listed():
    names = [f"{number:05}" for number in range(20)]

    assert yamlfiles.did_you_mean("xyz", names) == f"valid: {', '.join(names)}"
    assert yamlfiles.did_you_mean("xyz", [*names, "x"]) == "did you mean `x`?"
    assert yamlfiles.did_you_mean("xyyz", [*names, "k", "z"]).startswith("valid: z, ")
    assert yamlfiles.did_you_mean("xyyz", [*names, "k", "z"]).endswith(", and 2 more")
