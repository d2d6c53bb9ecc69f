"""Doing a plan: Snakemake decides when a step runs, `execute` does it.

    plan.json ──► snakemake (Snakefile) ──a process a step──► execute ──┬──► run_tool     a tool, by its runner
                                                                        └──► own_steps    remap and score

Of the study wing, steps need `study.steps` alone: a step starts in a fraction of a second.
"""
