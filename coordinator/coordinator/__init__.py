"""Runs the label quality study: dataset, label versions, scores, training, report.

Packages, from the top floor down; each imports only what stands below it (`make check` sees to it):

    cli                        the commands
    report                     the results as page, tables, figures, viewer
    verdict                    what the results mean
    results                    a run folder in memory
    engine      conformance    doing a plan; the test of the tool contract
    study                      from a study file to a plan         <- read study/pipeline.py first
    runners     weights        how a tool is started; how its weights get here
    statistics                 means, intervals, tests
    tools  datasets  scoring   tool folders; dataset folders; scores of label maps

What a notebook may use is documented in docs/reference/python.md; everything else may change.
"""
