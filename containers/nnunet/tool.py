"""Label maps of every case from a five-fold cross-validation of nnU-Net.

Steps load their modules when they run: torch and nnU-Net take seconds to import, and `describe` needs neither.
"""

import os
import sys
from functools import partial
from typing import Any

from nnunet_tool import collect
from nnunet_tool.cases import FOLDS

from contract import Cases, Context, Job, run


def _prepare(context: Context) -> None:
    from nnunet_tool.prepare import prepare

    prepare(context)


def _fold(fold: int, context: Context) -> None:
    from nnunet_tool.fold import run_fold

    run_fold(context, fold)


STEPS: dict[str, Cases[Any] | Job] = {
    "prepare": Job(_prepare),
    **{f"fold-{fold}": Job(partial(_fold, fold)) for fold in range(FOLDS)},
    "collect": Cases(collect.load, collect.segment),
}

if __name__ == "__main__":
    code = run(__file__, STEPS)
    sys.stdout.flush()
    sys.stderr.flush()
    # Python takes seconds to tear down nnU-Net's modules; a run that is being stopped may not have them.
    os._exit(code)
