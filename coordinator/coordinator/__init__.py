"""Runs the label quality study: dataset, label versions, scores, training, report."""
