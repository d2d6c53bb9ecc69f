"""Manifests and the options in them: what can't work is refused when the manifest, or a value, is read."""

from pathlib import Path

import pytest

from contract import commandline
from contract.errors import UsageError
from contract.manifest import Manifest, Option, load_manifest

LINES = {
    "contract": "1", "name": "toy", "version": "0.1.0", "kind": "generator", "summary": "x", "licence": "MIT",
    "default_variant": "one", "variants": "{one: {summary: x, labels: {1: liver}}}",
}  # fmt: skip


def read(tmp_path: Path, **keys: str) -> Manifest:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "manifest.yaml").write_text("".join(f"{key}: {value}\n" for key, value in (LINES | keys).items()))
    return load_manifest(folder)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("options", "{dataset: {type: str, default: x, help: y}}", "every tool's command line has an option --dataset; choose another name"),
        ("options", "{no-overwrite: {type: bool, default: true, help: y}}", "every tool's command line has an option --overwrite"),
        ("options", "{Big_Name: {type: bool, default: true, help: y}}", "must be lower-case words with - between them"),
        ("options", "{n: {type: float, default: .nan, help: x}}", "options.n.default: must be a finite number"),
        ("options", "{n: {type: int, default: 5, minimum: 1, maximum: .inf, help: x}}", "options.n.maximum: must be a finite number"),
        ("options", "{n: {type: str, default: a, minimum: 1, help: x}}", "options.n: minimum, maximum and multiple_of are for numbers, but the type is str"),
        ("options", "{n: {type: int, default: 1, choices: [a], help: x}}", "options.n: choices, pattern and numbers are for texts"),
        ("options", "{n: {type: str, default: a, pattern: '(', help: x}}", "options.n: pattern must be a regular expression, but:"),
        ("options", "{n: {type: str, default: '1,2', numbers: {word: auto, most: 1, minimum: 0, maximum: 9}, help: x}}", "default must be auto or 1 whole numbers of 0 to 9"),
        ("options", "{n: {type: int, default: 7, multiple_of: 2, help: x}}", "options.n: default must be a multiple of 2, but it is 7"),
        ("variants", "{one: {summary: x, labels: {}}}", "variants.one.labels: "),
        ("variants", "{one: {summary: x, labels: {1: a, 2: a}}}", "variants.one.labels: names must be unique, but ['a'] came twice"),
        ("variants", "{one: {summary: x, labels: {-1: a}}}", "variants.one.labels: ids must lie in 1..65535, but [-1] came"),
        ("variants", "{one: {summary: x, labels: from-data}}", "variants.one.labels: must be 'from-dataset' or keys and values, but it is 'from-data'"),
        ("variants", "{one: {summary: x, labels: from-dataset, weights: [{file: a/../../b, licence: x}]}}", "variants.one.weights.0.file: must be a path below the weights folder, without `..`, but it is 'a/../../b'"),
        ("variants", "{one: {summary: x, labels: from-dataset, weights: [{file: a, licence: x, size_mb: .inf}]}}", "size_mb: must be a finite number"),
        ("resources", "{cpus: 0}", "resources.cpus: must be greater than or equal to 1"),
        ("resources", "{cpus: 100000}", "resources.cpus: must be less than or equal to 1024"),
        ("resources", "{memory_gb: .nan}", "resources.memory_gb: must be a finite number"),
        ("resources", "{processes: 100000}", "resources.processes: must be less than or equal to 16384"),
        ("resources", "{tmp_mb: 100000}", "resources.tmp_mb: must be less than or equal to 65536"),
        ("resources", "{shm_mb: 100000}", "resources.shm_mb: must be less than or equal to 65536"),
        ("resources", "{shm_mb: -5}", "resources.shm_mb: must be greater than or equal to 64"),
        ("check", "{cases: 0}", "check.cases: must be greater than or equal to 3"),
    ],
)  # fmt: skip
def test_a_manifest_that_cannot_work_is_refused_with_one_line(key: str, value: str, said: str, tmp_path: Path):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, **{key: value})

    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ({"type": "float", "default": 1.0}, float("nan"), "x must be a finite number, but it is nan"),
        ({"type": "float", "default": 1.0}, float("inf"), "x must be a finite number, but it is inf"),
        ({"type": "int", "default": 1}, 10**30, "x must be at most 9223372036854775807, but it is 1000"),
        ({"type": "int", "default": 1}, True, "x must be int, but it is True"),
        ({"type": "str", "default": "a"}, "b" * 10_000, "x must be one of a, but it is 'bbb"),
    ],
)
def test_a_value_of_an_option_must_be_one_that_can_work(option: dict[str, object], value: object, said: str):
    choices = ("a",) if option["type"] == "str" else ()

    with pytest.raises(ValueError, match="x must be") as caught:
        Option.model_validate({**option, "help": "", "choices": choices}).check("x", value)

    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--share", "nan"], "--share must be a finite number, but it is nan"),
        (["--share", "1e400"], "--share must be a finite number, but it is inf"),
        (["--threads", "0"], "--threads must be a number of 1 to 1024, but it is 0"),
        (["--threads", "-3"], "--threads must be a number of 1 to 1024, but it is -3"),
        (["--shard", "0/3"], "--shard must be I/N"),
        (["--shard", "1/" + "9" * 5000], "--shard must be I/N"),
        (["--device", "cuda:-1"], "--device must be auto, cpu, cuda or cuda:I"),
        (["--device", "cuda:" + "9" * 5000], "--device must be auto, cpu, cuda or cuda:I"),
    ],
)
def test_the_command_line_refuses_what_a_study_file_refuses(arguments: list[str], said: str, tmp_path: Path):
    manifest = read(tmp_path, options="{share: {type: float, default: 1, help: x}}")

    with pytest.raises(UsageError, match="must be") as caught:
        commandline.parse(manifest, ["--dataset", "toy", *arguments], {})

    assert said in str(caught.value)
