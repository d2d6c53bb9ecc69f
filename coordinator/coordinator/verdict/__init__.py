"""What the results mean: every conclusion that a report states is drawn here.

results ──┬──► decide         worth it, not worth it, or can't tell; with interval, cost and the reason
├──► dose           how much better labels must be before a network is
├──► ranking        where another convention would rank label versions differently
├──► worklist       the masks on which label versions disagree most
└──► sentences, observations      the same in words
"""

from typing import TYPE_CHECKING

from contract.lazy import lazy_names

if TYPE_CHECKING:
    from coordinator.verdict.decide import Finding, findings

__all__ = ["Finding", "findings"]

__getattr__, __dir__ = lazy_names(__name__, {"Finding": "decide", "findings": "decide"})
