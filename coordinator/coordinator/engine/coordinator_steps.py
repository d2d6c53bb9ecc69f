"""The steps that the coordinator does itself: label maps in, label maps or scores out. Each writes one `result`.

The further outputs of a step (`also`) are written beside it.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from contract import atomic, records, statefiles
from contract.datasets import SUFFIX, case_names, open_dataset
from contract.errors import CaseError
from contract.records import CaseStatus
from contract.volumes import read_image, read_labels, write_labels
from coordinator.datasets.remap import remap_labels
from coordinator.scoring.caseorder import draw_order, rank_cases
from coordinator.scoring.framefiles import parse_frame, write_frame
from coordinator.scoring.settings import scoring_from_json
from coordinator.study.steps import FOLDS, Plan, Step, name_output


def write_label_set(run: Path, plan: Plan, step: Step, result: Path) -> None:
    """Write labels of people on their images' grids, in the dataset's ids: the dataset's own, or a label set.

    Raises:
        CaseError: a case can't be read any more; all such cases are listed.
    """
    dataset = open_dataset(Path(plan.data), step.dataset)
    folder = dataset.folder / step.settings["place"]
    named = step.settings.get("to_target") or {label: label for label in dataset.labels}
    to_target = {int(source): int(target) for source, target in named.items()}
    result.mkdir()

    def write(file: str) -> str:
        image = read_image(dataset.image(file.removesuffix(SUFFIX)))
        labels = read_labels(folder / file, image, to_target)
        return write_labels(result / file, remap_labels(labels, to_target), image)

    outputs, failures = _do_each([f"{case}{SUFFIX}" for case in step.settings["cases"]], write)
    if failures:
        raise CaseError("\n".join(map(str, failures.values())))
    place = Path(step.settings["place"])
    source = f"folder {place.name}" if place.is_absolute() else f"{place} of the dataset folder"
    atomic.write_json(result / records.RUN, {"source": source, "to_target": to_target, "outputs": outputs})


def remap(run: Path, plan: Plan, step: Step, result: Path) -> None:
    """Write a generator's pseudo-labels in the dataset's ids.

    A case that can't be remapped is named in `status.jsonl`, as one that the generator could not label.

    Raises:
        CaseError: no case could be remapped; all reasons are listed.
    """
    raw = run / step.settings["raw"]
    to_target = {int(source): target for source, target in step.settings["to_target"].items()}
    result.mkdir()
    files = [f"{case}{SUFFIX}" for case in _written_cases(raw, plan.about.get("cases", {}).get(step.dataset))]
    outputs, failures = _do_each(files, lambda file: remap_file(raw / file, result / file, to_target))
    if failures:
        cases = {file.removesuffix(SUFFIX): error for file, error in failures.items()}
        records.write_statuses(result, {case: CaseStatus.failed(case, error) for case, error in cases.items()})
    if failures and not outputs:
        raise CaseError("\n".join(map(str, failures.values())))
    atomic.write_json(
        result / records.RUN,
        {"source": name_output(step.settings["raw"]), "to_target": step.settings["to_target"], "outputs": outputs},
    )


def join(run: Path, plan: Plan, step: Step, result: Path) -> None:
    """Write a label version that was made anew in each fold: each case's labels are those of one fold.

    A case that could not be labelled or remapped in its fold is named in `status.jsonl`, with the reason.

    Raises:
        CaseError: a label map is gone.
    """
    result.mkdir()
    outputs: dict[str, str] = {}
    failed: dict[str, CaseStatus] = {}
    for part in step.settings[FOLDS]:
        labels, cases = run / part["labels"], part["cases"]
        recorded = records.read_statuses(run / part["raw"]) | records.read_statuses(labels)
        failed |= {case: s for case, s in recorded.items() if case in set(cases) and s.state == "failed"}
        for case in _written_cases(labels, [case for case in cases if case not in failed]):
            outputs[f"{case}{SUFFIX}"] = _copy_labels(labels / f"{case}{SUFFIX}", result)
    if failed:
        records.write_statuses(result, failed)
    about = {"source": "of each case the labels of the fold that holds it out", "outputs": outputs}
    atomic.write_json(result / records.RUN, about)


def mix(run: Path, plan: Plan, step: Step, result: Path) -> None:
    """Write the labels of training cases, of some the better ones, of the others the worse ones.

    Raises:
        CaseError: one of the two lacks labels of a case.
    """
    settings = step.settings
    chosen = set(settings["chosen"] if "chosen" in settings else _order_cases(run, step)[: settings["count"]])
    sources = {case: run / settings["better" if case in chosen else "worse"] for case in settings["cases"]}
    failed = {folder: _failed_cases(folder) for folder in set(sources.values())}
    files = {case: folder / f"{case}{SUFFIX}" for case, folder in sources.items()}
    if lost := [str(file) for case, file in files.items() if not file.is_file() or case in failed[sources[case]]]:
        raise CaseError(
            f"{', '.join(lost)}: must be there, since networks are trained on this case; see why its tool could not "
            "label it, or exclude the case"
        )
    result.mkdir()
    outputs = {file.name: _copy_labels(file, result) for file in files.values()}
    about = {"source": f"mixture by the rule {settings['rule']}", "better_cases": sorted(chosen), "outputs": outputs}
    atomic.write_json(result / records.RUN, about)


def _copy_labels(file: Path, folder: Path) -> str:
    """Copy a label map into a folder; returns the sha256 of the copy."""
    shutil.copyfile(file, folder / file.name)
    return records.file_sha256(folder / file.name)


def _failed_cases(folder: Path) -> set[str]:
    """The cases that a tool recorded as failed."""
    return {case for case, status in records.read_statuses(folder).items() if status.state == "failed"}


def _order_cases(run: Path, step: Step) -> list[str]:
    """The training cases of a mixture, those first that its rule gives the better labels first."""
    settings = step.settings
    if "ranking" not in settings:
        return draw_order(settings["cases"], settings["seed"])
    scores = statefiles.require(run / settings["ranking"], parse_frame, "run the study again, which makes it again")
    return rank_cases(scores, settings["cases"], settings["version"], settings["labels"])


def score(run: Path, plan: Plan, step: Step, result: Path) -> None:
    """Score each case and organ of a label version against the reference labels, and count the shells around organs."""
    from coordinator.scoring.folders import score_folders_in_shells  # its compiler takes a second to import

    written = [records.read_run(run / step.settings[place]).get("outputs") for place in ("prediction", "reference")]
    files = [set(outputs) for outputs in written if outputs]
    cases = sorted(file.removesuffix(SUFFIX) for file in set.intersection(*files)) if files else None
    scores, shells = score_folders_in_shells(**_describe_scoring(run, plan, step), cases=cases)
    write_frame(_name_version(scores, step), result)
    for output in step.also:
        file = result.parent / Path(output).relative_to(Path(step.output).parent)
        file.parent.mkdir(exist_ok=True)
        write_frame(_name_version(shells, step), file)


def score_predictions(run: Path, plan: Plan, step: Step, result: Path) -> None:
    """Score a network's predictions of the held-out cases against the reference labels."""
    from coordinator.scoring.folders import score_folders

    cases = _written_cases(run / step.settings["prediction"], step.settings["cases"])
    frame = _name_version(score_folders(**_describe_scoring(run, plan, step), cases=cases), step)
    write_frame(frame.with_columns(pl.lit(step.settings["seed"]).alias("seed")), result)


def score_agreement(run: Path, plan: Plan, step: Step, result: Path) -> None:
    """Compare each label version with the consensus of the others."""
    from coordinator.scoring.agreement import compare_with_others

    organs = {int(label): organ for label, organ in plan.about["labels"][step.dataset].items()}
    folders = {version: run / place for version, place in step.settings["versions"].items()}
    cases = plan.about["cases"][step.dataset]
    write_frame(compare_with_others(folders, step.settings["known"], organs, cases, step.cpus), result)


def _written_cases(folder: Path, planned: list[str] | None) -> list[str]:
    """The planned cases that a tool has done. Only those that it recorded as failed, with a reason, may be absent.

    Args:
        folder: what the tool wrote.
        planned: the cases that it was to do; None takes all that are there, of a plan without a list of cases.

    Raises:
        CaseError: a label map is gone. Without it, means would be over fewer cases than the study has.
    """
    present = case_names(folder)
    if planned is None:
        return present
    failed = _failed_cases(folder)
    if lost := sorted(set(planned) - set(present) - failed):
        raise CaseError(
            f"{folder}: must hold a label map of every case that did not fail, but lacks {', '.join(lost)}; "
            "run the study again, which makes them again"
        )
    return sorted(set(planned) & set(present) - failed)


def _describe_scoring(run: Path, plan: Plan, step: Step) -> dict[str, Any]:
    """Which folders a step scores, and how: the arguments of `score_folders`."""
    return {
        "reference": run / step.settings["reference"],
        "prediction": run / step.settings["prediction"],
        "organs": {int(label): organ for label, organ in plan.about["labels"][step.dataset].items()},
        "scoring": scoring_from_json(step.settings["scoring"]),
        "workers": step.cpus,
    }


def _name_version(frame: pl.DataFrame, step: Step) -> pl.DataFrame:
    """The frame with the names of dataset and label version before its columns."""
    names = [pl.lit(step.dataset).alias("dataset"), pl.lit(step.label_version).alias("version")]
    return frame.select(*names, pl.all())


def _do_each(files: Sequence[str], write: Callable[[str], str]) -> tuple[dict[str, str], dict[str, CaseError]]:
    """Write each file; returns file -> sha256, and file -> why it could not be written."""
    outputs, failures = {}, {}
    for file in files:
        try:
            outputs[file] = write(file)
        except CaseError as error:
            failures[file] = error
    return outputs, failures


def remap_file(source: Path, target: Path, to_target: dict[int, int]) -> str:
    """Remap the label map in one file; returns the sha256 of the file that was written.

    Raises:
        CaseError: an unreadable file, or an id that `to_target` does not name.
    """
    image = read_image(source)
    labels = read_labels(source, image)
    try:
        remapped = remap_labels(labels, to_target)
    except CaseError as error:
        raise CaseError(f"{source}: {error}") from error
    return write_labels(target, remapped, image)


FUNCTIONS: Mapping[str, Callable[[Path, Plan, Step, Path], None]] = {
    "labels": write_label_set,
    "join": join,
    "mix": mix,
    "remap": remap,
    "score": score,
    "score-predictions": score_predictions,
    "agreement": score_agreement,
}
"""Kind of a step -> what does it."""
