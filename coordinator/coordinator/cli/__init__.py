"""The command line: `coordinator COMMAND`.

main         commands of a study: init, plan, run, status, logs, report; and remap, score
studyrun     from a study file to a report: check the data, make the plan, run it, write the report
display      the progress of a run
labelmaps    remap and score folders of label maps without a study
dataset, tool, weights    the commands of these groups
"""
