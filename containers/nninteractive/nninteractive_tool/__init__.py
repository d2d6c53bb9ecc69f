"""nnInteractive on whole volumes, prompted by boxes or points in the reference labels.

labels ── parts of each organ ── largest slice ── box or point ──┐
                                                                 ├──► nnInteractive ── mask ── overlap rule ── label map
image ───────────────────────────────────────────────────────────┘
"""
