"""Label versions of chosen quality, made from the reference labels; see `degrade_tool/degradations.py`."""

from dataclasses import dataclass

import numpy as np
from degrade_tool.degradations import degrade
from degrade_tool.drawing import Random, Recipe, left_right_pairs, random_of_all_cases

from contract import Case, Cases, Context, LabelMap, UsageError, log_line, run


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of the tool."""

    seed: int
    target_dice: float
    recipe: Recipe


def load(context: Context) -> Settings:
    """Read the options; check what the manifest can't: a target is 0 or lies in 0.3..0.99, and a swap needs a pair."""
    options = {name.replace("-", "_"): value for name, value in context.options.items()}
    seed, target_dice = int(options.pop("seed")), float(options.pop("target_dice"))
    if 0 < target_dice < 0.3:
        raise UsageError(f"--target-dice must be 0 (none) or lie in 0.3..0.99, but it is {target_dice:g}")
    consistent = bool(options.pop("consistent"))
    recipe = Recipe(**{name: float(value) for name, value in options.items()}, consistent=consistent)
    if recipe.swapped_pairs and not left_right_pairs(context.dataset.labels.values()):
        log_line(f"{context.dataset.name}: no organs form a left and right pair, so none are swapped")
    return Settings(seed, target_dice, recipe)


def segment(settings: Settings, case: Case) -> LabelMap:
    """Put errors into the labels of a case."""
    if case.labels is None:
        raise UsageError(f"{case.name}: labels must be shown to this tool, but are not")

    random = random_of_all_cases(settings.seed) if settings.recipe.consistent else _random_of_case(settings.seed, case)
    result = degrade(case.labels, case.image.spacing_mm, case.organs, settings.recipe, random, settings.target_dice)
    if result.dice is None:
        log_line(f"{case.name}: no organs, nothing to degrade")
    else:
        asked = f" (asked for {settings.target_dice:g})" if settings.target_dice else ""
        log_line(f"{case.name}: mean Dice {result.dice:.4f}{asked} at {result.scale:.3f} times the strengths")
        if settings.target_dice and abs(result.dice - settings.target_dice) > 0.01:
            log_line(f"{case.name}: these strengths come no nearer to the target")
    return result.labels


def _random_of_case(seed: int, case: Case) -> Random:
    def random(*purpose: str) -> np.random.Generator:
        return case.random(seed, *purpose)

    return random


if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
