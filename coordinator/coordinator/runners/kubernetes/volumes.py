"""Which folders here are which volume claims of the cluster."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from contract.errors import UsageError
from coordinator.runners.kubernetes.profile import Volume


class Claimed(NamedTuple):
    """A file or folder as a pod finds it.

    Attributes:
        claim: name of the volume claim.
        sub_path: path below its top; empty for the top.
    """

    claim: str
    sub_path: str


def locate(path: Path, volumes: Sequence[Volume]) -> Claimed:
    """Find a file or folder of this machine in the volumes of the cluster.

    Args:
        path: to find; links are followed.
        volumes: of the site profile; of nested ones the innermost counts.

    Raises:
        UsageError: it is in none of them, so no pod could see it.
    """
    resolved = path.resolve()
    roots = {Path(volume.path).resolve(): volume for volume in volumes}
    for folder in (resolved, *resolved.parents):
        if folder in roots:
            volume = roots[folder]
            parts = [part for part in (volume.sub_path, str(resolved.relative_to(folder))) if part not in {"", "."}]
            return Claimed(volume.claim, "/".join(part.strip("/") for part in parts))
    known = ", ".join(map(str, roots)) or "none"
    raise UsageError(
        f"{path}: must be in a folder that nodes of the cluster see as a volume, but these are: {known}; name "
        "its volume claim under `kubernetes: volumes` of the site profile, or move it"
    )
