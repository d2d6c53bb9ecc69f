"""The study file that `coordinator init` prints."""

from collections.abc import Sequence

from coordinator.scoring.conventions import CONVENTIONS

TEMPLATE = """\
# A study: is it worth improving the labels of these datasets?
# Check it with `coordinator plan study.yaml`, run it with `coordinator run study.yaml`.
name: {name}
data: {data}                        # folder of dataset folders, relative to this file
out: runs                         # results go to {{out}}/{{name}}
datasets: [{datasets}]

# Label versions to make. `TOOL` or `TOOL-VARIANT`; with options as {{name, tool, variant, options}}.
# `coordinator tool list` shows what there is.
generators:
  - medsam-lite                   # prompted with boxes around the original labels
  - {{name: degraded-90, tool: degrade, options: {{target-dice: 0.9}}}}
  - {{name: degraded-70, tool: degrade, options: {{target-dice: 0.7}}}}

# Cases to leave out, with reasons.
# exclude:
#   {first}: {{case_001: metal artefacts}}

score:
  tolerance_mm: 1.0               # of surface Dice; leave it out where the convention has tolerances of its own
  empty: flare21                  # both masks empty: 1; one empty: 0. Others: {conventions}
  distances: false                # also HD95 and average surface distance, which take longer

# One network for each label version and seed. Without this section the study ends with Table 1.
# These are the paper's settings: they want a GPU for hours a network.
train:
  epochs: 1000
  batches_per_epoch: 250
  learning_rate: 1.0e-3
  holdout: 0.2                    # share of the cases that no network is trained on, the same for all versions
  split_seed: 0
  seeds: [0]                      # several seeds show how much of a difference is chance

# When better labels count as worth their cost.
verdict:
  margin: 0.01                    # Dice; a network's gain of less is worth nothing
  minutes_per_mask: 10            # to draw one organ in one case

run:
  runtime: auto                   # docker where an engine has the images, else process; or say which
  gpus: all
"""


def study_template(datasets: Sequence[str], data: str) -> str:
    """A commented study file.

    Args:
        datasets: names; the first one names the study.
        data: folder of dataset folders.
    """
    others = ", ".join(sorted(set(CONVENTIONS) - {"flare21"}))
    return TEMPLATE.format(
        conventions=others,
        name=f"{datasets[0]}-label-quality",
        data=data,
        datasets=", ".join(datasets),
        first=datasets[0],
    )
