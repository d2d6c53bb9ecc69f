"""What can go wrong: one class for each exit code, so that a caller can tell a bug from bad input.

| code | meaning                                             | raised as       |
| ---- | --------------------------------------------------- | --------------- |
| 0    | all cases done                                      |                 |
| 1    | a bug: traceback                                    | anything else   |
| 2    | usage, manifest, study or dataset description       | `UsageError`    |
| 3    | some cases failed, the others are done              | `CaseError`     |
| 4    | refused to write an output that breaks the contract | `ContractError` |
| 143  | stopped by SIGTERM                                  | `Stopped`       |
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every tool and of the coordinator."""

    DONE = 0
    BUG = 1
    USAGE = 2
    CASES_FAILED = 3
    CONTRACT_BROKEN = 4
    STOPPED = 143


class UsageError(Exception):
    """What the user wrote cannot be run: the message names the file or option, what it holds and what to do."""


class CaseError(Exception):
    """One case cannot be read or segmented; the others go on."""


class ContractError(Exception):
    """A tool returned something that must not be written, such as a label map on another grid."""


class Stopped(BaseException):
    """SIGTERM came. Not an `Exception`, so that no tool swallows it as the failure of one case."""
