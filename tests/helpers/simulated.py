"""Studies with known truth: scores of networks on held-out cases, drawn from what real studies have.

A network's score of an organ in a case is its label version's score there, shifted by its seed as a whole and on the
case. Versions lose something against the reference labels, by case and organ; what they lose on average is the truth.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.statistics.comparison import Comparison, compare
from coordinator.statistics.gains import Cube, merge_groups
from coordinator.statistics.intervals import Interval
from coordinator.study.settings import VerdictSettings
from coordinator.verdict.outcome import CANNOT_TELL, GAIN, NOT_WORTH_IT, WORTH_IT, Evidence, decide
from coordinator.verdict.testplan import TestPlan

Floats = NDArray[np.float64]
Generator = np.random.Generator
SURFACE = 2.0
"""Gains in Surface Dice relative to those in Dice; so are the margins, so that both are at the margin at once."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a study is like.

    Attributes:
        gains: what the reference labels gain over each label version in a case where all is well.
        cases: held-out cases.
        organs: number of them.
        seeds: networks on each label version; those on the reference labels are as many and `noise_seeds`.
        noise_seeds: further networks on the reference labels.
        seed_std: standard deviation of a network's score over seeds.
        restless: that of the first label version, relative to the others.
        case_std: standard deviation of the gain from case to case.
        tail: "normal", "skewed" (gamma, skewness 1), "very skewed" (2) or "heavy" (Student's t with 4) gains.
        absent: share of the cases that lack half of the organs; all networks leave these out and score 1 there.
        rare: cases that have the last organs; (3, 1) are two organs, one in three cases and one in one.
        failures: share of the cases in which a version's network loses half a Dice.
        bounded: whether scores are near 1 and cannot exceed it.
        scans: patients have 1 to so many of them, in turn; what a version loses on a patient, it loses on each scan.
        crowd: scans of one more patient, the first.
    """

    gains: tuple[float, ...] = (0.0,)
    cases: int = 20
    organs: int = 4
    seeds: int = 3
    noise_seeds: int = 0
    seed_std: float = 0.005
    restless: float = 1.0
    case_std: float = 0.02
    tail: str = "normal"
    absent: float = 0.0
    rare: tuple[int, ...] = ()
    failures: float = 0.0
    bounded: bool = False
    scans: int = 1
    crowd: int = 0

    @property
    def patients(self) -> tuple[str, ...]:
        """The patient of each case."""
        names = (f"p{patient}" for patient in range(self.cases) for _ in range(1 + patient % self.scans))
        return tuple(itertools.islice(itertools.chain(["crowd"] * self.crowd, names), self.cases))

    @property
    def versions(self) -> tuple[str, ...]:
        """Names of the label versions."""
        return tuple(f"v{i}" for i in range(len(self.gains)))


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedStudy:
    """Scores of all networks, by metric, and the true gain of each label version in Dice."""

    dice: Cube
    surface: Cube
    truth: dict[str, float]


def draw_study(shape: Shape, random: Generator) -> SimulatedStudy:
    """Draw one study."""
    seeds = shape.seeds + shape.noise_seeds
    losses = (_draw_bounded if shape.bounded else _draw_losses)(shape, random)
    scores = [1 - loss for loss in losses]
    _remove_organs(shape, scores, random)
    for array in scores:
        array[1:, :, shape.seeds :] = np.nan
    patients = dict(zip(map(str, range(shape.cases)), shape.patients, strict=True))
    axes = (
        ("base", *shape.versions),
        tuple(map(str, range(shape.cases))),
        tuple(range(seeds)),
        tuple(range(shape.organs)),
    )
    dice, surface = (merge_groups(Cube(*axes, array), patients) for array in scores)
    return SimulatedStudy(dice, surface, true_gains(shape))


def _draw_losses(shape: Shape, random: Generator) -> tuple[Floats, Floats]:
    """(networks, cases, seeds, organs) 1 - Dice and 1 - Surface Dice, as sums of errors."""
    size, differs = _size(shape), _differs(shape)
    by_case = shape.case_std * (
        _draw_tail(shape, random, (*size[:2], 1, 1)) + random.normal(size=(*size[:2], 1, size[3]))
    )
    surface = shape.case_std * random.normal(size=(*size[:2], 1, 1)) * differs
    if shape.scans > 1 or shape.crowd:
        first = [shape.patients.index(patient) for patient in shape.patients]
        by_case, surface = by_case[:, first], surface[:, first]
    failed = (random.random((*size[:2], 1, 1)) < shape.failures) & (differs > 0)
    losses = 0.1 + _gains(shape) + by_case * differs + 0.5 * failed + _draw_seeds(shape, random)
    return losses, SURFACE * losses + surface


def _draw_bounded(shape: Shape, random: Generator) -> tuple[Floats, Floats]:
    """The same as products of errors, so that scores stay below 1 and hard cases lose more."""
    size, differs = _size(shape), _differs(shape)
    case = 0.1 * _draw_factor(random, 0.6, (1, size[1], 1, size[3]))
    loss = 1 + _gains(shape) / 0.1 * random.gamma(4, 0.25, (*size[:2], 1, 1))
    wobble = np.where(differs > 0, _draw_factor(random, 0.2, (*size[:2], 1, size[3])), 1.0)
    losses = case * loss * wobble + _draw_seeds(shape, random)
    return losses, SURFACE * losses * np.where(differs > 0, _draw_factor(random, 0.2, (*size[:2], 1, 1)), 1.0)


def _draw_seeds(shape: Shape, random: Generator) -> Floats:
    """What a seed does to a network as a whole, and to single cases and organs."""
    size = _size(shape)
    noise = np.full((size[0], 1, 1, 1), shape.seed_std)
    noise[1:2] *= shape.restless
    by_seed = random.normal(size=(size[0], 1, size[2], 1)) * noise
    return by_seed + random.normal(0, 0.01, (*size[:3], 1)) + random.normal(0, 0.01, size)


def _draw_factor(random: Generator, spread: float, size: tuple[int, ...]) -> Floats:
    """Log-normal factors of mean 1."""
    return np.exp(random.normal(-(spread**2) / 2, spread, size))


def _size(shape: Shape) -> tuple[int, int, int, int]:
    return 1 + len(shape.gains), shape.cases, shape.seeds + shape.noise_seeds, shape.organs


def _gains(shape: Shape) -> Floats:
    return np.array([0.0, *shape.gains])[:, None, None, None]


def true_gains(shape: Shape) -> dict[str, float]:
    """The true gain of each label version in Dice, over organs that enough cases have."""
    present = 1 - shape.absent * (shape.organs // 2) / shape.organs
    return {v: g * present + 0.5 * shape.failures for v, g in zip(shape.versions, shape.gains, strict=True)}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What our statistics say of one label version of a simulated study."""

    truth: float
    dice: Comparison
    outcome: str

    def covers(self) -> bool:
        """Whether the 95 % interval in Dice holds the truth."""
        ends = self.dice.interval(0.95)
        return ends is not None and ends.low <= self.truth <= ends.high

    def is_wrong(self, settings: VerdictSettings) -> bool:
        """Whether the outcome says what is not so."""
        margin = settings.margin - 1e-9
        return {
            WORTH_IT: self.truth < margin, GAIN: self.truth <= 0, NOT_WORTH_IT: self.truth >= margin, CANNOT_TELL: False,
        }[self.outcome]  # fmt: skip


def judge_study(study: SimulatedStudy, settings: VerdictSettings, tests: int = 0) -> list[Judged]:
    """Judge each label version as the report does."""
    plan = TestPlan(settings.alpha, len(study.truth), tests)
    judged = []
    for version, truth in study.truth.items():
        dice = compare(study.dice, "base", version, settings.seed_std)
        surface = compare(study.surface, "base", version)
        assert dice is not None and surface is not None
        intervals: dict[str, Interval] = {}
        if ends := dice.interval(plan.confidence):
            intervals["dice"] = ends
        if (surface.seeds or not dice.seeds) and (ends := surface.interval(plan.confidence)):
            intervals["surface_dice"] = ends
        source = dice.seeds.source if dice.seeds else ""
        evidence = Evidence(intervals, len(dice.gain.cases), source, None, (1 - plan.confidence) / 2)
        judged.append(Judged(truth, dice, decide(evidence, settings).outcome))
    return judged


def generator(*key: int) -> Generator:
    """Random numbers that depend on a key alone."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(list(key))))


def _differs(shape: Shape) -> Floats:
    """(networks, 1, 1, 1): 0 for the reference labels, from whose scores the others differ."""
    return (np.arange(1 + len(shape.gains)) > 0).astype(np.float64)[:, None, None, None]


def _draw_tail(shape: Shape, random: Generator, size: tuple[int, ...]) -> Floats:
    """Losses of mean 0 and standard deviation 1."""
    if shape.tail == "heavy":
        return random.standard_t(4, size) / 2**0.5
    if shape.tail == "normal":
        return random.normal(size=size)
    gamma = {"skewed": 4.0, "very skewed": 1.0}[shape.tail]
    return (random.gamma(gamma, size=size) - gamma) / gamma**0.5


def _remove_organs(shape: Shape, scores: list[Floats], random: Generator) -> None:
    """Absent organs score 1 in all networks; rare organs are missing from the other cases."""
    if shape.absent:
        absent = random.random((shape.cases, shape.organs)) < shape.absent
        absent[:, shape.organs // 2 :] = False
        for array in scores:
            array.transpose(1, 3, 0, 2)[absent] = 1.0
    for place, count in enumerate(shape.rare):
        missing = random.permutation(shape.cases)[count:]
        for array in scores:
            array[:, missing, :, shape.organs - 1 - place] = np.nan
