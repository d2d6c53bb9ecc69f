"""What the report says of tools, weights and packages: each fact once, however many folders repeat it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coordinator.results.run import Run, ToolRun

OWN_TO_EACH_RUN = {"seed"}


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """A tool as it was used; `made` says for what, in which datasets."""

    made: str
    datasets: tuple[str, ...]
    tool: str
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Packages:
    """Versions of the packages that one or more tools ran with."""

    tools: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]


def tools(run: Run) -> list[ToolFacts]:
    """All tools as they were used, in the study's order."""
    datasets: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[str]] = {}
    for used in run.tools:
        key = _made(used), _name(used.record), _settings(used.record)
        datasets.setdefault(key, []).append(used.dataset)
    return [ToolFacts(key[0], tuple(dict.fromkeys(names)), key[1], key[2]) for key, names in datasets.items()]


def weights(run: Run) -> list[tuple[str, str, str]]:
    """Tool, file and sha256 of all weights, sorted."""
    return sorted(
        {(_name(used.record), w["file"], w["sha256"]) for used in run.tools for w in used.record.get("weights") or ()}
    )


def packages(run: Run) -> list[Packages]:
    """Package versions; tools that have the same ones share an entry."""
    found: dict[tuple[tuple[str, str], ...], set[str]] = {}
    for used in run.tools:
        versions = tuple(sorted((used.record.get("packages") or {}).items(), key=lambda item: item[0].lower()))
        if versions:
            found.setdefault(versions, set()).add(_name(used.record))
    return sorted(
        (Packages(tuple(sorted(names)), versions) for versions, names in found.items()), key=lambda p: p.tools
    )


def _made(used: ToolRun) -> str:
    return f"labels of {used.version}" if used.stage == "labels" else used.stage


def _name(record: Mapping[str, Any]) -> str:
    return f"{record.get('tool', 'unknown tool')} {record.get('version', '')}".strip()


def _settings(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What a tool was told and where it ran, as names and texts, without what was not recorded."""
    told = {name: value for name, value in (record.get("options") or {}).items() if name not in OWN_TO_EACH_RUN}
    facts = {
        "variant": record.get("variant"),
        "options": ", ".join(f"{name} {_shown(value)}" for name, value in sorted(told.items())),
        "device": record.get("device"),
        "threads": record.get("threads"),
        "python": record.get("python"),
        "image": record.get("image_id"),
        "revision": record.get("revision"),
    }
    return tuple((name, str(value)) for name, value in facts.items() if value not in (None, ""))


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
