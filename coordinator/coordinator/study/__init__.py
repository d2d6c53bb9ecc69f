"""From a study file to a plan of steps. Read `pipeline` first.

study.yaml ──► file ──► pipeline ──┬──► labelversions    generators, remaps, scores ────────────┬──► steps    plan.json
                                   └──► networks         training, predictions, fine-tuning ────┘

labelmappings    from a generator's label ids to a dataset's, by organ name
split            which cases are held out
planner          resources and fingerprint of each step
template         the file that `coordinator init` prints
cost             GPU hours, disk, the smallest gain that a study could show
"""

from typing import TYPE_CHECKING

from contract.lazy import lazy_names

if TYPE_CHECKING:
    from coordinator.study.file import Study, load_study
    from coordinator.study.pipeline import make_plan
    from coordinator.study.steps import Plan, Step

__all__ = ["Plan", "Step", "Study", "load_study", "make_plan"]

__getattr__, __dir__ = lazy_names(
    __name__, {"Plan": "steps", "Step": "steps", "Study": "file", "load_study": "file", "make_plan": "pipeline"}
)
