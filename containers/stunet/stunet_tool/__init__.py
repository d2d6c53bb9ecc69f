"""STU-Net as its authors run it: nnU-Net 1.7's inference, class by class in bounded memory.

image (X, Y, Z) ── transpose to (z, y, x) ── crop ── 1.5 mm ── z-score ──► tiles ──► network ──► softmax
                                                                                                  │ weighted sums,
label map ◄── paste ◄── highest class so far ◄── the image's spacing ◄── one class of one piece ◄─┘ piece by piece
"""
