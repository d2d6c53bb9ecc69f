"""The conformance test: what docs/reference/tool-contract.md says, tried on any tool.

targets.py   an image, or a folder's tool as a process: how one run is started and ends
data.py      the dataset: one volume in eight orientations, and what can be wrong with it
bench.py     a target's runs on the dataset; the costly ones serve several rules
rules.py     what must hold, one function a rule         <- read this
check.py     `describe`, then rule after rule
"""
