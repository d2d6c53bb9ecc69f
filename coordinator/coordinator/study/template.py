"""The study file that `coordinator init` prints."""

from collections.abc import Sequence

from contract.datasets import name_problem
from contract.errors import UsageError
from contract.yamlfiles import as_scalar
from coordinator.scoring.conventions import CONVENTIONS
from coordinator.study.proposals import Proposals

TEMPLATE = """\
# A study: is it worth improving the labels of these datasets?
# Check it with `coordinator plan study.yaml`, run it with `coordinator run study.yaml`.
name: {name}
data: {data}                        # folder of dataset folders, relative to this file
out: runs                         # the run folder is {{out}}/{{name}}
datasets: [{datasets}]

# Each generator makes one label version: `TOOL` or `TOOL-VARIANT`; with options {{name, tool, variant, options}}.
# `coordinator tool list` shows the tools.
generators:
  - medsam-lite                   # prompted with boxes around the reference labels
{generators}  - {{name: degraded-90, tool: degrade, options: {{target-dice: 0.9}}}}
  - {{name: degraded-70, tool: degrade, options: {{target-dice: 0.7}}}}

# Labels that somebody corrected or drew anew, of all cases or some: <dataset>/labels_corrected/<case>.nii.gz.
# versions: [{{name: corrected, labels: labels_corrected}}]
# reference: corrected            # whose labels are the truth; where it is not given, those of the dataset (`base`)

# Cases to leave out, with reasons.
# exclude:
#   {first}: {{case_001: metal artefacts}}

# Scans that a dataset shares with a target of `transfer` are never held out there; false holds them out like others.
# exclude_leaks: false

score:
{tolerance}  empty: {empty:<24} # convention: an organ that neither map has scores 1, one that one map has 0; the
                                  # paper states no rule. Others: {conventions}
  distances: false                # true: also HD95 and average surface distance, which take longer

# One network for each label version and seed. Without this section the study ends with Table 1.
# The paper states these epochs, batches, learning rate and held-out share; all else is this project's choice, the seeds
# too, and the report's methods section says what. Each network needs a GPU for hours.
train:
  epochs: 1000
  batches_per_epoch: 250
  learning_rate: 1.0e-3
{split}  # split: official.json          # instead of these: {{"train": [cases], "holdout": [cases]}}, or nnU-Net's fold
  seeds: [0, 1, 2]                # networks also differ by chance, so one seed alone can't tell. Cheaper:
  # seeds: [0]
  # noise_seeds: [1, 2]           # further networks on the reference labels alone, which show the noise of seeds

# How many cases are worth correcting? Networks on labels of which a share was replaced by better ones.
# mix: {{name: corrected, better: expert, worse: base, shares: [0.25, 0.5, 0.75], by: [random, worst]}}

# When better labels are worth it, and how sure the report must be before it says so.
verdict:
  margin: 0.01                    # Dice; a smaller gain of the network is worth nothing
  surface_margin: 0.02            # the same of surface Dice
  alpha: 0.05                     # chance that any claim of the report is wrong
  failure_rate: 0.1               # share of cases in which a network may fail: the more cases, the rarer failures show
  minutes_per_mask: 10            # to draw one organ in one case; the paper assumes 10, and calls it optimistic
  # max_hours_per_point: 100      # of drawing for each Dice point; dearer gains are not worth it
  # seed_std: 0.005               # only where one seed must do: standard deviation of a network's Dice over seeds,
  # seed_std_source: five seeds of base on this dataset        # and where it was measured

run:
  runtime: auto                   # docker where an engine has the images, else process; or one of these
  gpus: all
"""


def study_template(datasets: Sequence[str], data: str, proposals: Proposals | None = None) -> str:
    """A commented study file.

    Args:
        datasets: names; the first one names the study.
        data: folder of dataset folders.
        proposals: what fits the datasets; None where nothing is known of them.

    Raises:
        UsageError: a name that no dataset can have.
    """
    fitting = proposals or Proposals()
    others = ", ".join(sorted(set(CONVENTIONS) - {fitting.convention}))
    for name in datasets:
        if problem := name_problem(name):
            raise UsageError(
                f"DATASETS: must be names of folders below --data, but {problem}; give the name alone, not a path"
            )
    return TEMPLATE.format(
        conventions=others,
        generators=fitting.generators,
        tolerance=fitting.tolerance,
        empty=fitting.convention,
        split=fitting.split,
        name=as_scalar(f"{datasets[0].replace('.', '-')[:80]}-label-quality"),
        data=as_scalar(data),
        datasets=", ".join(map(as_scalar, datasets)),
        first=as_scalar(datasets[0]),
    )
