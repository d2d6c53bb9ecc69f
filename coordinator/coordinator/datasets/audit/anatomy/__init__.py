"""What the audit sees of the labels' anatomy, by labels and image alone."""
