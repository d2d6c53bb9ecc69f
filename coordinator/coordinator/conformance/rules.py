"""The rules for tools, in the order of checking; docs/reference/tool-contract.md explains them.

A rule is a function of the session. It returns if the rule holds, raises `RuleBroken` if it does not hold, and
`NotApplicable` if it does not apply to this target.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from coordinator.conformance import reruns, undisturbed
from coordinator.conformance.session import CheckSession


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for tools.

    Attributes:
        id: its name, for `--only`.
        what: what must hold.
        check: raises `RuleBroken` if it does not hold.
    """

    id: str
    what: str
    check: Callable[[CheckSession], None]


RULES = (
    Rule("run", "sound cases are done: exit code 0, one label map a case", undisturbed.check_run),
    Rule("uid", "runs as any user id; its files are that user's", undisturbed.check_user),
    Rule("network", "needs no network", partial(undisturbed.check_lock, "network")),
    Rule("root", "needs no writable place but /out and /tmp", partial(undisturbed.check_lock, "root")),
    Rule("privileges", "needs no capabilities and no new privileges", partial(undisturbed.check_lock, "privileges")),
    Rule("shm", "has enough of the shared memory that its manifest asks for", partial(undisturbed.check_lock, "shm")),
    Rule("grid", "label maps have their image's shape, sform and qform, codes included", undisturbed.check_grid),
    Rule(
        "integers",
        "label maps are uint8 (uint16 where an id is above 255), without a scale",
        undisturbed.check_integers,
    ),
    Rule(
        "orientation",
        "one volume in eight orientations gets the same labels in the world",
        undisturbed.check_orientation,
    ),
    Rule("ids", "label ids are those of the label table", undisturbed.check_ids),
    Rule("status", "status.jsonl has one line a case, with all fields and true sha256", undisturbed.check_status),
    Rule("provenance", "run.json has all fields, and what can be checked of it is true", undisturbed.check_provenance),
    Rule("again", "a second run leaves every file alone and loads no model", reruns.check_second_run),
    Rule("changed-input", "a case whose image changed is done again, and no other", reruns.check_changed_input),
    Rule("changed-option", "with another option cases are done again", reruns.check_changed_option),
    Rule("truncated", "a truncated image fails alone, with its reason; exit code 3", reruns.check_truncated_image),
    Rule("label-grid", "labels on another grid fail alone, with their reason; exit code 3", reruns.check_label_grid),
    Rule("stop", "SIGTERM: exit code 143, whole files; the next run ends in the same bytes", reruns.check_stop),
    Rule("whole", "without --step all steps are done, to the same label maps", reruns.check_all_steps),
    Rule("usage", "unknown options and datasets: a message, exit code 2", reruns.check_usage),
    Rule("empty", "a dataset without images: a message, exit code 2", reruns.check_empty_dataset),
    Rule("environment", "options can be given as TOOL_… variables", reruns.check_environment),
    Rule("cases", "--cases and --shard choose cases", reruns.check_case_selection),
    Rule("weights", "weights with another sha256 are refused: a message, exit code 2", reruns.check_weights),
    Rule("outside", "nothing is written outside of /out and /tmp; data stay as they are", reruns.check_outside),
)
