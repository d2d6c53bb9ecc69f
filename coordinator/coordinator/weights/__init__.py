"""Weights of the tools: lists what the manifests need, fetches and verifies it.

manifests ──► listing ──► fetch ──┬──► download ──► unpack ──► WEIGHTS/<tool>/
                                  └──► a folder ────┘
"""
