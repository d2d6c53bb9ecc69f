"""MedSAM on axial slices, prompted by boxes around the reference labels.

image ── window ── crop ── slice ── picture ──► embed once ──┐
                                                             ├──► probabilities ── overlap rule ── label map
labels ────────── crop ── slice ── picture ──► boxes ────────┘

`stack` goes through a volume; `segmenter` is a network with the steps that all flavours share; `lite` and `vit_b` are
the flavours, one for each variant of the manifest; `tensors` reads their weights.
"""
