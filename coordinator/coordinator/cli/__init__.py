"""The command line: `coordinator COMMAND`, one module a group of commands.

main        the study's commands: init, plan, run, status, logs, report; remap and score
studyrun    what `plan` and `run` share: check the data, choose the runtime, make the plan, run it, write the report
display     the progress of a run
pieces      remap and score, alone
dataset, tool, weights      the commands of these groups
"""
