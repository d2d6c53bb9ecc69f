"""The output of a step's pods, appended to the step's log while they run, each line once."""

from datetime import UTC, datetime
from pathlib import Path

from coordinator.runners.kubernetes.cluster import Cluster, Object
from coordinator.runners.kubernetes.manifests import CONTAINER

MARGIN_S = 30
"""How far the clocks of this machine and of a node may differ."""


class Output:
    """What of a Job's output is in the log."""

    def __init__(self, log: Path, written: int) -> None:
        """Go on where an earlier coordinator was.

        Args:
            log: file to append to.
            written: bytes of the Job's output that it has already.
        """
        self._log = log
        self._skip = written
        self._pod = ""
        self._last = ""

    def follow(self, cluster: Cluster, pod: Object | None) -> None:
        """Append what a pod has printed since the last call; one that takes another's place is read from its start."""
        if pod is None:
            return
        if pod["metadata"]["name"] != self._pod:
            self._pod, self._last = pod["metadata"]["name"], ""
        since = _seconds_since(self._last)
        fresh = []
        for line in cluster.read_output(self._pod, CONTAINER, since).splitlines(keepends=True):
            stamp, _, text = line.partition(b" ")
            if stamp.decode(errors="replace") > self._last:
                fresh.append((stamp.decode(errors="replace"), text))
        # The last line may not be whole yet; it is read again when it is.
        if fresh and not fresh[-1][1].endswith(b"\n"):
            fresh.pop()
        if not fresh:
            return
        self._last = fresh[-1][0]
        content = b"".join(text for _, text in fresh)
        with self._log.open("ab") as stream:
            stream.write(content[self._skip :])
        self._skip = max(0, self._skip - len(content))


def _seconds_since(stamp: str) -> int | None:
    """How old a line is at most, in seconds, with a margin; None where all lines are wanted."""
    if not stamp:
        return None
    then = datetime.fromisoformat(f"{stamp.partition('.')[0].removesuffix('Z')}+00:00")
    return max(1, int((datetime.now(UTC) - then).total_seconds()) + MARGIN_S)
