"""LiteMedSAM on axial slices, prompted by boxes around the reference labels.

image ── window ── crop ── slice ── picture ──► embed once ──┐
                                                             ├──► probabilities ── overlap rule ── label map
labels ────────── crop ── slice ── picture ──► boxes ────────┘
"""
