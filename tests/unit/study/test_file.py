"""Study files: what they may say, and what is said about mistakes in them."""

import re
from pathlib import Path

import pytest

from contract.errors import UsageError
from coordinator.study.file import load_study, trainer_options
from coordinator.study.settings import TrainSettings, VerdictSettings
from coordinator.study.template import study_template
from coordinator.tools.finding import Tool, find_tools

STUDIES = Path(__file__).resolve().parents[3] / "studies"
MINIMAL = "name: toy\ndatasets: [toy]\ngenerators: [medsam]\n"


@pytest.fixture(scope="session")
def tools() -> dict[str, Tool]:
    return find_tools()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study.yaml"


def test_a_short_study_has_defaults_for_everything_else(study: Path, tools: dict[str, Tool]) -> None:
    study.write_text(MINIMAL)

    loaded = load_study(study, tools)

    assert loaded.generators[0].name == "medsam"
    assert loaded.generators[0].variant == "lite"
    assert loaded.trainer is None
    assert loaded.content.score.tolerance_mm == 1.0
    assert loaded.run_folder == study.parent / "runs" / "toy"


def test_an_empty_train_section_takes_the_defaults_which_are_the_papers_where_it_states_one(
    study: Path, tools: dict[str, Tool]
) -> None:
    study.write_text(MINIMAL + "train: {}\n")

    loaded = load_study(study, tools)
    assert loaded.content.train is not None
    options = trainer_options(loaded.content.train)

    assert (options["epochs"], options["batches-per-epoch"], options["learning-rate"]) == (1000, 250, 1e-3)
    assert loaded.content.train.holdout == 0.2
    assert loaded.trainer is not None
    defaults = {name: option.default for name, option in loaded.trainer.manifest.options.items()}
    assert options == {name: defaults[name] for name in options}  # one recipe, the same in both places


def test_the_file_that_init_prints_is_a_sound_study(study: Path, tools: dict[str, Tool]) -> None:
    study.write_text(study_template(["word", "btcv"], "data"))

    loaded = load_study(study, tools)

    assert [g.name for g in loaded.generators] == ["medsam-lite", "degraded-90", "degraded-70"]
    assert (loaded.content.train, loaded.content.verdict) == (TrainSettings(), VerdictSettings())


def test_what_the_printed_file_only_suggests_may_be_uncommented(study: Path, tools: dict[str, Tool]) -> None:
    suggested = re.sub(r"^( +)# (\w+: )", r"\1\2", study_template(["word"], "data"), flags=re.MULTILINE)
    for other in ("seeds: [0, 1, 2]", "folds: 5"):  # beside `seeds: [0]`, and `holdout`
        suggested = suggested.replace(f"  {other}", f"  # {other}")
    study.write_text(suggested)

    content = load_study(study, tools).content

    assert content.train is not None
    assert (content.train.seeds, content.train.noise_seeds) == ((0,), (1, 2))
    assert (content.verdict.max_hours_per_point, content.verdict.seed_std) == (100, 0.005)
    assert content.verdict.seed_std_source == "five seeds of base on this dataset"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("generatorz: [medsam]", "generatorz: unknown key; did you mean `generators`?"),
        ("train: {epochs: -5}", "train.epochs: must be greater than or equal to 1, but it is -5 (int)"),
        ("train: {epochs: many}", "train.epochs: must be a valid integer, but it is 'many' (str)"),
        ("train: {epoch: 5}", "train.epoch: unknown key; did you mean `epochs`?"),
        ("train: {holdout: 1.5}", "train.holdout: must be less than 1, but it is 1.5"),
        ("train: {seeds: []}", "train.seeds"),
        ("train: {seeds: [1, 1]}", "seeds must be different"),
        ("train: {noise_seeds: [4, 4]}", "train.noise_seeds: seeds must be different and not negative, but are [4, 4]"),
        ("train: {noise_seeds: [-1]}", "train.noise_seeds: seeds must be different and not negative, but are [-1]"),
        (
            "train: {noise_seeds: [1, 2, 3]}",
            "train: noise_seeds: must be further seeds, but [1, 2] are among `seeds`, which are [0, 1, 2]; choose others",
        ),
        ("train:", "for the defaults write `train: {}`"),
        ("train: {options: {batch-sise: 2}}", "has no option 'batch-sise'; did you mean `batch-size`?"),
        ("score: {tolerance_mm: 0}", "score.tolerance_mm: must be greater than 0, but it is 0 (int)"),
        ("score: {empty: flair}", "unknown convention 'flair'; did you mean `flare22`?"),
        (
            "run: {runtime: podman}",
            "run.runtime: must be 'auto', 'docker', 'apptainer' or 'process', but it is 'podman'",
        ),
        ("transfer: [segthor]", "transfer: needs networks to fine-tune, but there is no `train` section"),
        ("verdict: {margin: 0}", "verdict.margin: must be greater than 0, but it is 0 (int)"),
        ("verdict: {minutes: 5}", "verdict.minutes: unknown key"),
        ("verdict: {failure_rate: 0}", "verdict.failure_rate: must be greater than 0, but it is 0 (int)"),
        ("verdict: {seed_std: 0.005}", "verdict: seed_std and seed_std_source: give both or neither"),
        ("verdict: {seed_std_source: a paper}", "verdict: seed_std and seed_std_source: give both or neither"),
        ("verdict: {seed_std: 0.005, seed_std_source: ''}", "verdict.seed_std_source"),
        ("exclude: {tay: {a: b}}", "'tay' is no dataset of this study; did you mean `toy`?"),
        ("name: Has Blanks", "name: String should match pattern"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_what_would_do(
    text: str, message: str, study: Path, tools: dict[str, Tool]
) -> None:
    key = text.partition(":")[0]
    kept = "".join(f"{line}\n" for line in MINIMAL.splitlines() if not line.startswith(f"{key}:"))
    study.write_text(f"{kept}{text}\n")

    with pytest.raises(UsageError) as caught:
        load_study(study, tools)

    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{study}: ")


@pytest.mark.parametrize(
    ("generators", "message"),
    [
        ("[medsan]", "generators.0: there is no generator 'medsan'; did you mean `medsam`?"),
        ("[medsam-light]", "medsam has no variant 'light'; did you mean `lite`?"),
        ("[trainer]", "there is no generator 'trainer'"),
        ("[medsam, medsam]", "the name 'medsam' came twice"),
        ("[{name: base, tool: degrade}]", "the name `base` is taken by the dataset's own labels"),
        ("[{name: x, tool: degrade, options: {target-dise: 0.9}}]", "did you mean `target-dice`?"),
        ("[{name: x, tool: degrade, options: {target-dice: 2}}]", "target-dice must be at most"),
        ("[{name: x, tol: degrade}]", "tol: unknown key; did you mean `tool`?"),
        ("[]", "generators"),
    ],
)
def test_a_mistake_about_a_generator_is_named(
    generators: str, message: str, study: Path, tools: dict[str, Tool]
) -> None:
    study.write_text(f"name: toy\ndatasets: [toy]\ngenerators: {generators}\n")

    with pytest.raises(UsageError) as caught:
        load_study(study, tools)

    assert message in str(caught.value)


def test_a_study_shows_as_one_line(study: Path, tools: dict[str, Tool]) -> None:
    study.write_text(MINIMAL + "train: {}\n")

    assert repr(load_study(str(study), tools)) == "<Study toy: toy; medsam; networks: trained by trainer>"


@pytest.mark.parametrize("file", sorted(STUDIES.rglob("*.yaml")), ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_study_of_the_repository_is_read_and_its_networks_show_the_noise_of_seeds(
    file: Path, tools: dict[str, Tool]
) -> None:
    train = load_study(file, tools).content.train

    # The paper's have one network for each cell; the file says how to change it.
    is_papers = file.parent.name == "paper"
    assert is_papers == ("# noise_seeds: [1, 2]" in file.read_text())
    assert train is None or is_papers or len((*train.seeds, *train.noise_seeds)) > 1
