"""What scores say, and how sure that is.

    scores ──┬──► means         mean, std: eq. 2 to 4 of the paper
             └──► gains         network on base minus network on a version, paired by case
                    ├──► intervals    interval and p-values of a gain; seeds as a second level
                    ├──► hypotheses   Holm's correction; equivalence
                    └──► power        smallest gain that could be seen, cases needed
    label quality and network quality of the versions ──► correlation

That the intervals hold what they promise is measured: `tests/benchmarks/calibration.py`, part of `make bench`.
"""

from coordinator.statistics.means import organ_table, summary

__all__ = ["organ_table", "summary"]
