"""The small files of a run folder, read without the place of the folder on disk, so that reports don't depend on it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from contract import statefiles
from coordinator.study.leaks import Leak
from coordinator.study.steps import ADDED_TOOLS
from coordinator.tools.added import read_record


def parse_failures(content: bytes) -> dict[str, str]:
    """Parse a `failures.json`: step -> reason."""
    return {str(step): str(reason) for step, reason in sorted(statefiles.parse_mapping(content)["steps"].items())}


def parse_check(content: bytes) -> dict[str, Any]:
    """Parse a `check.json`."""
    check = statefiles.parse_mapping(content)
    set_aside = {str(case): list(map(str, reasons)) for case, reasons in check.get("set_aside", {}).items()}
    return {"cases": int(check["cases"]), "set_aside": set_aside, "warnings": list(map(str, check.get("warnings", ())))}


def read_mapping(
    run: Path, place: str, parse: statefiles.Parse[dict[str, Any]] = statefiles.parse_mapping
) -> dict[str, Any]:
    """Read a JSON file's mapping without the place of the run folder; empty where there is none that is whole."""
    return dict(hide_place(run, statefiles.read(run / place, parse) or {}))


def read_failed_cases(run: Path, place: str) -> Iterator[tuple[str, str]]:
    """Read failed cases with their reasons; of a case with several lines, the last one counts."""
    last: dict[str, Mapping[str, Any]] = {}
    for line in statefiles.read(run / place, lambda content: content.decode("utf-8", "replace").splitlines()) or ():
        try:
            record = statefiles.parse_mapping(line.encode())
            last[str(record["case"])] = record
        except statefiles.DAMAGE:
            continue  # a line that a crash cut short
    for case, status in sorted(last.items()):
        if status.get("state") == "failed":
            yield case, hide_place(run, str(status.get("reason") or "no reason was recorded"))


def hide_place(run: Path, content: Any) -> Any:  # noqa: ANN401 - any JSON
    """Replace the place of the run folder by RUN in all texts."""
    match content:
        case str():
            return content.replace(str(run.resolve()), "RUN").replace(str(run.absolute()), "RUN")
        case list():
            return [hide_place(run, item) for item in content]
        case dict():
            return {key: hide_place(run, item) for key, item in content.items()}
        case _:
            return content


def parse_plan(content: bytes) -> dict[str, Any]:
    """Parse what the report needs of `plan.json`; its steps are not read."""
    plan = statefiles.parse_mapping(content)
    if not isinstance(plan["study"], str):
        raise TypeError("its study has no name")
    for name in ("versions", "labels", "common_labels"):
        if not isinstance(plan[name], dict):
            raise TypeError(f"its {name!r} is a {type(plan[name]).__name__}")
    leaks = plan.get("leaks")
    plan["leaks"] = leaks if leaks is None else tuple(Leak(**{**leak, "cases": tuple(leak["cases"])}) for leak in leaks)
    plan[ADDED_TOOLS] = {version: read_record(kept) for version, kept in plan.get(ADDED_TOOLS, {}).items()}
    return plan
