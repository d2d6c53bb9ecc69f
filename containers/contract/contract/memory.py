"""How much memory is free."""

from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


def available_memory() -> int:
    """Bytes that this process and its children may still take: the machine's, or its control group's."""
    return max(0, min([_read_fields(MEMINFO).get("MemAvailable:", 0) * 1024, *_free_in_control_group()]))


def _free_in_control_group() -> Iterator[int]:
    """What is left below the group's limit, in its first or second version; cached files count as free."""
    for folder, limit, used, cached in (
        (CGROUP, "memory.max", "memory.current", ("inactive_file", "active_file")),
        (
            CGROUP / "memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            ("total_inactive_file", "total_active_file"),
        ),
    ):
        try:
            free = int((folder / limit).read_text()) - int((folder / used).read_text())
        except (OSError, ValueError):  # no such control group, or "max"
            continue
        statistics = _read_fields(folder / "memory.stat")
        yield free + sum(statistics.get(name, 0) for name in cached)


def _read_fields(file: Path) -> dict[str, int]:
    """Names and their numbers; none where there is no such file."""
    try:
        lines = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdigit()}
