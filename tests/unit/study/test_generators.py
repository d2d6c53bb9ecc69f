"""Foreign images as generators of a study: what a study file may name, and what a plan then holds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.added import ID, OTHER_ID, make_added, make_manifest
from helpers.chains import make_dataset
from helpers.planning import NamedCode

from contract.errors import UsageError
from coordinator.runners.choose import choose_runner
from coordinator.study import generators
from coordinator.study.file import Study, load_study
from coordinator.study.labelmappings import find_id_mapping
from coordinator.study.pipeline import make_plan
from coordinator.study.steps import ADDED_TOOLS, parse_plan, plan_text
from coordinator.tools.added import keep_added
from coordinator.tools.finding import find_tools

TOOLS = find_tools()
MINE = '{name: mine, tool: "image:lab/seg:1", options: {lowest-hu: 200}}'


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Study]:
    """Reads a study with these generators; `lab/seg:1` was added to the folder `tools` beside it."""
    keep_added(tmp_path / "tools", make_added())

    def load_with(*generators: str, more: str = "") -> Study:
        file = tmp_path / "study.yaml"
        file.write_text(f"name: toy\ndatasets: [toy]\ngenerators: [{', '.join(generators)}]\n{more}")
        return load_study(file, TOOLS)

    return load_with


def test_an_added_image_is_a_generator_with_its_own_variants_and_options(load: Callable[..., Study]):
    (mine,) = load(MINE).generators

    assert (mine.name, mine.tool.name, mine.variant, mine.options) == ("mine", "brightness", "v1", {"lowest-hu": 200})
    assert mine.tool.added == make_added()


def test_a_study_names_its_folder_of_added_images(load: Callable[..., Study], tmp_path: Path):
    (tmp_path / "tools").rename(tmp_path / "shared")

    assert load(MINE, more="tools: shared\n").tools_folder == tmp_path / "shared"
    with pytest.raises(UsageError, match=rf"lab/seg:1 was never added to {tmp_path}/tools"):
        load(MINE)


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ('{name: mine, tool: "image:lab/seg:2"}', "generators.0: image lab/seg:2 was never added"),
        (f'{{name: mine, tool: "image:lab/seg@{OTHER_ID}"}}', "was never added"),
        ('{name: mine, tool: "image:"}', "was never added"),
        ('{name: mine, tool: "image:lab/seg:1", variant: v3}', "brightness has no variant 'v3'"),
        ('{name: mine, tool: "image:lab/seg:1", options: {lowest: 1}}', "did you mean `lowest-hu`?"),
        ('{name: mine, tool: "image:lab/seg:1", options: {lowest-hu: 9000}}', "lowest-hu must be at most 3000"),
        (
            '{name: mine, tool: "image:lab/seg:1", variant: v2}',
            "variant v2 of image:lab/seg:1 was never checked; `coordinator tool add lab/seg:1 --variant v2` does it",
        ),
        ('"image:lab/seg:1"', 'write {name: mine, tool: "image:lab/seg:1"}'),
    ],
)
def test_a_mistake_about_an_image_is_named(generator: str, message: str, load: Callable[..., Study]):
    with pytest.raises(UsageError) as caught:
        load(generator)

    assert message in str(caught.value)


def test_an_image_whose_check_was_skipped_may_run(load: Callable[..., Study], tmp_path: Path):
    keep_added(tmp_path / "tools", make_added(checks={}, skip_check=True))

    assert load('{name: mine, tool: "image:lab/seg:1", variant: v2}').generators[0].variant == "v2"


def test_an_image_may_not_be_called_as_a_tool_of_ours(load: Callable[..., Study], tmp_path: Path):
    keep_added(tmp_path / "tools", make_added(manifest=make_manifest(name="degrade")))

    with pytest.raises(UsageError, match="image:lab/seg:1 calls itself degrade, which is the name of a tool of ours"):
        load(MINE)


def test_an_option_whose_pattern_never_ends_is_refused(
    load: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(generators, "OPTIONS_S", 0.5)
    options = {"name": {"type": "str", "default": "a", "pattern": "(a+)+", "help": "a name"}}
    keep_added(tmp_path / "tools", make_added(manifest=make_manifest(options=options)))

    with pytest.raises(UsageError, match=r"options of brightness must be checked .* takes longer than 0.5 s"):
        load(f'{{name: mine, tool: "image:lab/seg:1", options: {{name: {"a" * 40}!}}}}')


def test_processes_run_no_image(load: Callable[..., Study]):
    with pytest.raises(UsageError, match="image lab/seg:1: needs the runtime docker, but it is process"):
        choose_runner("process", load(MINE, "degrade").tools)


@pytest.mark.parametrize("runtime", ["auto", "docker"])
def test_without_an_engine_a_study_with_an_image_does_not_fall_back_to_processes(
    runtime: str, load: Callable[..., Study], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    with pytest.raises(UsageError, match="a Docker engine must answer"):
        choose_runner(runtime, load(MINE, "degrade").tools)


def test_two_images_of_one_name_are_two_tools(load: Callable[..., Study], tmp_path: Path):
    keep_added(tmp_path / "tools", make_added("lab/seg:2", id=OTHER_ID, manifest=make_manifest(version="3.0.0")))

    study = load(MINE, '{name: newer, tool: "image:lab/seg:2"}')

    assert [tool.manifest.version for tool in study.tools] == ["2.0.0", "3.0.0"]
    assert {name: added.id for name, added in study.added.items()} == {"mine": ID, "newer": OTHER_ID}


@pytest.mark.parametrize(
    "variant",
    [{"labels": {"1": "skull"}}, {"weights": [{"file": "net.pt", "licence": "MIT", "page": "https://x.org"}]}],
)
def test_two_images_of_one_name_must_have_the_same_labels_and_weights(
    variant: dict[str, object], load: Callable[..., Study], tmp_path: Path
):
    variants = {"v1": {"summary": "another", "labels": {"1": "bone"}} | variant}
    keep_added(tmp_path / "tools", make_added("lab/seg:2", id=OTHER_ID, manifest=make_manifest(
        variants=variants | {"v2": {"summary": "the same", "labels": {"1": "bone"}}}
    )))  # fmt: skip

    with pytest.raises(
        UsageError, match="generators: mine, newer: two images that call themselves brightness must have"
    ):
        load(MINE, '{name: newer, tool: "image:lab/seg:2"}')


def test_two_images_under_one_tag_are_two_tools(load: Callable[..., Study]):
    study = load(MINE, '{name: newer, tool: "image:lab/seg:1"}')
    first, second = study.generators
    other = replace(second.tool, added=make_added(id=OTHER_ID))

    tools = replace(study, generators=[first, replace(second, tool=other)]).tools

    assert [tool.added.id for tool in tools if tool.added] == [ID, OTHER_ID]


def test_a_plan_holds_what_is_kept_of_an_image_and_its_steps_name_it(load: Callable[..., Study], tmp_path: Path):
    make_dataset(tmp_path / "data")
    (tmp_path / "data/toy/remaps").mkdir()
    (tmp_path / "data/toy/remaps/brightness.yaml").write_text("map: {liver: [bone]}\n")

    plan = make_plan(load(MINE, "{name: worse, tool: degrade}"), runner=NamedCode())

    read = parse_plan(plan_text(plan).encode())
    assert {step.id: step.image for step in read.steps if step.tool} == {"toy/1-raw/mine": ID, "toy/1-raw/worse": None}
    assert read.about[ADDED_TOOLS] == {"mine": make_added().model_dump(mode="json")}


def test_a_plan_without_images_says_nothing_of_them(load: Callable[..., Study], tmp_path: Path):
    make_dataset(tmp_path / "data")

    assert ADDED_TOOLS not in make_plan(load("{name: worse, tool: degrade}"), runner=NamedCode()).about


def test_a_missing_label_mapping_says_where_the_organs_are_listed(load: Callable[..., Study], tmp_path: Path):
    (mine,) = load(MINE).generators

    with pytest.raises(UsageError) as caught:
        find_id_mapping(mine, {1: "liver"}, tmp_path / "data/toy")

    assert str(caught.value).startswith(f"{tmp_path}/data/toy/remaps/brightness.yaml: mine has labels of its own")
    assert f"The organs of mine are listed by `docker run --rm {ID} describe`" in str(caught.value)
    assert "nor" not in str(caught.value).split("complete this one")[0]


def test_a_run_folder_may_not_hold_the_added_images(load: Callable[..., Study], tmp_path: Path):
    make_dataset(tmp_path / "data")
    (tmp_path / "runs/toy").mkdir(parents=True)
    (tmp_path / "tools").rename(tmp_path / "runs/toy/tools")

    with pytest.raises(UsageError, match="a run folder must hold results alone, but `tools`"):
        make_plan(load(MINE, more="tools: runs/toy/tools\n"), runner=NamedCode())
