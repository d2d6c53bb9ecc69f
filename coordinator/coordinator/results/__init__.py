"""A run folder in memory.

run folder ──► load ──► run    plan, scores, training logs, failures
                │        ├──► summaries     means and standard deviations over cases
                │        ├──► distances     HD95 and average surface distance over cases and organs
                │        ├──► cases         means over organs, case by case
                │        ├──► consistency   are errors of labels the same in every case?
                │        └──► provenance    tools, weights, packages
                ├──► comparability    networks are compared only where nothing but their labels differs
                ├──► trusted          results count that are as they were written, of all planned cases
                └──► files            the small files of a run folder

paper/    the numbers of the paper's Tables 1 to 3
"""

from typing import TYPE_CHECKING

from contract.lazy import lazy_names

if TYPE_CHECKING:
    from coordinator.results.load import load_run
    from coordinator.results.run import Run

__all__ = ["Run", "load_run"]

__getattr__, __dir__ = lazy_names(__name__, {"Run": "run", "load_run": "load"})
