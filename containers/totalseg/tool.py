"""TotalSegmentator as a label generator: task `total` in 1.5, 3 or 6 mm, without network."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from totalseg_tool import offline

from contract import Case, Cases, Context, LabelMap, run

if TYPE_CHECKING:
    from totalseg_tool.package import Settings


@dataclass(frozen=True, slots=True)
class Model:
    """What stays from case to case.

    Attributes:
        settings: how the package is called.
        home: the folder that it works from; removed with this object.
    """

    settings: "Settings"
    home: tempfile.TemporaryDirectory[str]


def load(context: Context) -> Model:
    """Read the models, on the device that was asked for."""
    home = tempfile.TemporaryDirectory(prefix="totalseg-")
    offline.prepare(Path(home.name), context.weights, context.threads)
    # Only now: the package reads its folders and its number of threads when it is imported.
    from totalseg_tool import package, predictor

    device = package.chosen_device(context.arguments.device)
    context.facts["device"] = str(device)
    settings = package.settings(context.arguments.variant, context.options, device)
    predictors = predictor.Predictors(context.threads)
    predictors.install()
    package.read_models(predictors, settings.mode)
    return Model(settings, home)


def segment(model: Model, case: Case) -> LabelMap:
    """Segment one volume."""
    from totalseg_tool import package

    return package.segment_volume(case, model.settings)


if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
