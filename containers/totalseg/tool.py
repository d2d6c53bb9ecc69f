"""TotalSegmentator as a label generator: task `total` in 1.5, 3 or 6 mm, without network."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from totalseg_tool import offline

from contract import Case, Cases, Context, LabelMap, run
from contract.devices import choose_device

if TYPE_CHECKING:
    from totalseg_tool.package import Settings


@dataclass(frozen=True, slots=True)
class Model:
    """What stays in memory from case to case.

    Attributes:
        settings: how the package is called.
        home: its home folder; removed with this object.
    """

    settings: "Settings"
    home: tempfile.TemporaryDirectory[str]


def load(context: Context) -> Model:
    """Read the networks, and choose the device."""
    home = tempfile.TemporaryDirectory(prefix="totalseg-")
    offline.prepare_home(Path(home.name), context.weights, context.threads)
    # Only now: the package reads its folders and its number of threads when it is imported.
    import torch
    from totalseg_tool import package, predictor

    device = torch.device(choose_device(context.arguments.device, torch.cuda))
    context.facts["device"] = str(device)
    settings = package.read_settings(context.arguments.variant, context.options, device)
    predictors = predictor.Predictors(context.threads)
    predictors.install()
    package.read_models(predictors, settings.mode)
    return Model(settings, home)


def segment(model: Model, case: Case) -> LabelMap:
    """Segment all structures."""
    from totalseg_tool import package

    return package.segment_volume(model.settings, case)


if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
