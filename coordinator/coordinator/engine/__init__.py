"""Doing a plan: Snakemake decides when a step runs, `execute` does it.

    plan.json ──► snakemake (Snakefile) ──► execute, one process for each step ──┬──► run_tool             a tool
                                            │                                    └──► coordinator_steps    remap, score
                                            ├── locks: one process does a step at a time
                                            └── shards: a long step, shared out among several jobs

Of package `study`, a step imports only `study.steps`, so that it starts in a fraction of a second.
"""
