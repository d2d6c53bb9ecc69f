"""Weights of the tools: lists those that the manifests name, fetches and verifies them.

manifests ──► listing ──► fetch ──┬──► download ──► unpack ──► WEIGHTS/<tool>/
                                  └──► a folder ────┘
disk         refuses what does not fit
"""
