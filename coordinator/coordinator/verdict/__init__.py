"""What the results mean: every conclusion of the report is drawn here.

results ──┬──► decide          worth it, not worth it, or can't tell; with interval, cost and reason
          ├──► dose            how much better labels must be before the network is better
          ├──► paperfindings   the paper's findings, tested
          ├──► ranking         ranks of label versions under each convention
          ├──► worklist        the masks on which label versions disagree most
          └──► sentences, observations    the verdict and the results in words
"""

from typing import TYPE_CHECKING

from contract.lazy import lazy_names

if TYPE_CHECKING:
    from coordinator.verdict.decide import Finding, findings

__all__ = ["Finding", "findings"]

__getattr__, __dir__ = lazy_names(__name__, {"Finding": "decide", "findings": "decide"})
