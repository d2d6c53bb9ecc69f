"""The conformance test: checks any tool against the rules of docs/reference/tool-contract.md.

command ──► check ──┬──► `describe`            is the manifest valid?
                    └──► rules                 all rules, one function each         <- read this
                           ├──► undisturbed    rules on the undisturbed run      ──┬──► evidence ──► session ──► targets
                           └──► reruns         rules that need runs of their own ──┘
adding       `coordinator tool add`: checks an image, and keeps what came of it
toolcheck    a tool's folder, before anything is built
ruleresult   the result of checking a rule
evidence     reads and compares what a run left
session      a target's runs; costly runs are shared by several rules
targets      an image, or a folder's tool as a process: one run of it
data         the dataset: one volume in eight orientations, and damaged copies
"""
