"""VoxTell on whole volumes, prompted with the names of organs.

organ names ── prompts ── published embeddings ──┐
                                                 ├──► network, tile by tile ──► logits of each organ ──► label map
image ── crop to what is not 0 ── z-score ───────┘
"""
