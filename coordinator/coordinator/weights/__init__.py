"""Trained weights: which there are, and how they get here.

manifests ──► listing ──► fetch ──► download ──► unpack ──► WEIGHTS/<tool>/
"""
