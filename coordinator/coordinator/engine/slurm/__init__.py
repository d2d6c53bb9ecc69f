"""Steps as jobs of a Slurm cluster.

    site profile ──► script      the job script of a step, from a template that a site may replace
                     queue       sbatch, squeue, sacct, scancel: slow or failing answers are waited for
                     jobs        the jobs of a run folder: found by their names, so that none is submitted twice
                     outcomes    what the end of a job means: done, failed, or submitted again with more time or memory
                     waiting     where jobs are in the queue
                     place       what `coordinator run` asks of it

A job does its step as on one machine (`engine.execute`), on a node, with the Python of the coordinator, which must lie
where nodes see it. Whether a step is done is told by its marker alone, never by what Slurm says of its job. Snakemake
owns the order; the plugin `snakemake_executor_plugin_coordinator_slurm` connects it with `jobs`.
"""
