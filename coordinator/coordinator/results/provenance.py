"""Tools, weights and packages of a run: each fact once, however many folders repeat it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coordinator.results.run import Run, ToolRun

HIDDEN_OPTIONS = {"seed"}
"""Options that differ from network to network."""


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """A tool as it was used: for which purpose, in which datasets, with which settings."""

    purpose: str
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
        key = _purpose(used), _tool_name(used.record), _settings(used.record)
        datasets.setdefault(key, []).append(used.dataset)
    return [ToolFacts(key[0], tuple(dict.fromkeys(names)), key[1], key[2]) for key, names in datasets.items()]


def weights(run: Run) -> list[tuple[str, str, str]]:
    """Tool, file and sha256 of all weights, sorted."""
    return sorted(
        {
            (_tool_name(used.record), w["file"], w["sha256"])
            for used in run.tools
            for w in used.record.get("weights") or ()
        }
    )


def packages(run: Run) -> list[Packages]:
    """Package versions; tools with the same ones share an entry."""
    tools_of: dict[tuple[tuple[str, str], ...], set[str]] = {}
    for used in run.tools:
        versions = tuple(sorted((used.record.get("packages") or {}).items(), key=lambda item: item[0].lower()))
        if versions:
            tools_of.setdefault(versions, set()).add(_tool_name(used.record))
    return sorted(
        (Packages(tuple(sorted(names)), versions) for versions, names in tools_of.items()), key=lambda p: p.tools
    )


def _purpose(used: ToolRun) -> str:
    return f"labels of {used.version}" if used.makes_labels else used.stage


def _tool_name(record: Mapping[str, Any]) -> str:
    return f"{record.get('tool', 'unknown tool')} {record.get('version', '')}".strip()


def _settings(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """A tool's options and where it ran, as names and texts; what was not recorded is left out."""
    options = {name: value for name, value in (record.get("options") or {}).items() if name not in HIDDEN_OPTIONS}
    facts = {
        "variant": record.get("variant"),
        "options": ", ".join(f"{name} {_format_value(value)}" for name, value in sorted(options.items())),
        "device": record.get("device"),
        "threads": record.get("threads"),
        "python": record.get("python"),
        "image": record.get("image_id"),
        "revision": record.get("revision"),
    }
    return tuple((name, str(value)) for name, value in facts.items() if value not in (None, ""))


def _format_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
