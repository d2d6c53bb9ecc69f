"""What must hold for a tool, in the order in which it is tried; docs/reference/tool-contract.md is the text behind it.

A rule is a function of the bench: it returns where the rule holds, raises `Broken` where not, and `NotApplicable` where
the rule says nothing about this target.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from coordinator.conformance import reruns, results
from coordinator.conformance.bench import Bench


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold.

    Attributes:
        id: its name, for `--only`.
        what: must hold.
        check: raises where it doesn't.
    """

    id: str
    what: str
    check: Callable[[Bench], None]


RULES = (
    Rule("run", "sound cases are done: exit code 0, one label map a case", results.sound_run),
    Rule("uid", "runs as any user id; its files are that user's", results.user),
    Rule("network", "needs no network", partial(results.lock, "network")),
    Rule("root", "needs no writable place but /out and /tmp", partial(results.lock, "root")),
    Rule("privileges", "needs no capabilities and no new privileges", partial(results.lock, "privileges")),
    Rule("shm", "has enough of the shared memory that its manifest asks for", partial(results.lock, "shm")),
    Rule("grid", "label maps have their image's shape, sform and qform, codes included", results.grid),
    Rule("integers", "label maps are uint8 (uint16 where an id is above 255), without a scale", results.integers),
    Rule("orientation", "one volume in eight orientations gets the same labels in the world", results.orientation),
    Rule("ids", "label ids are those of the label table", results.ids),
    Rule("status", "status.jsonl has one line a case, with all fields and true sha256", results.status),
    Rule("provenance", "run.json has all fields, and what can be checked of it is true", results.provenance),
    Rule("again", "a second run leaves every file alone and loads no model", reruns.again),
    Rule("changed-input", "a case whose image changed is done again, and no other", reruns.changed_input),
    Rule("changed-option", "with another option cases are done again", reruns.changed_option),
    Rule("truncated", "a truncated image fails alone, with its reason; exit code 3", reruns.truncated),
    Rule("label-grid", "labels on another grid fail alone, with their reason; exit code 3", reruns.label_elsewhere),
    Rule("stop", "SIGTERM: exit code 143, whole files; the next run ends in the same bytes", reruns.stop),
    Rule("whole", "without --step all steps are done, to the same label maps", reruns.whole),
    Rule("usage", "unknown options and datasets: a message, exit code 2", reruns.usage),
    Rule("empty", "a dataset without images: a message, exit code 2", reruns.empty),
    Rule("environment", "options can be given as TOOL_… variables", reruns.environment),
    Rule("cases", "--cases and --shard choose cases", reruns.chosen),
    Rule("weights", "weights with another sha256 are refused: a message, exit code 2", reruns.weights),
    Rule("outside", "nothing is written outside of /out and /tmp; data stay as they are", reruns.outside),
)
