"""Statistics of scores: means as in the paper, gains with intervals and p-values, correlations.

    scores ──┬──► means         mean, std: eq. 2 to 4 of the paper
             └──► gains         networks on base minus networks on a label version, paired by case
                    ├──► seednoise    how much another seed would change a gain
                    ├──► intervals    interval and p-values of a gain, over cases and seeds
                    ├──► power        smallest detectable gain, cases needed
                    ├──► failures     rare failures that the cases can't exclude
                    └──► comparison   all of these for two label versions
    label quality and network quality of the label versions ──► correlation
    networks of several datasets and label versions ──► components: do scores vary more between datasets or versions?
    values of a column ──► quintiles

`tests/benchmarks/calibration.py` (part of `make bench`) measures whether the intervals cover as often as they claim.
"""

from coordinator.statistics.means import organ_table, summary

__all__ = ["organ_table", "summary"]
