"""Judges where organs lie compared with the other cases: elsewhere, absent, swallowed by a neighbour, ended early."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from coordinator.datasets.audit.anatomy.judgevalues import FAR_Z, Value, compare_volumes, name_ml
from coordinator.datasets.audit.anatomy.measuring import read_sketch
from coordinator.datasets.audit.anatomy.organfacts import know, may_be_removed
from coordinator.datasets.audit.anatomy.organmeasures import CaseOrgans, OrganMeasures, Voxel
from coordinator.datasets.audit.anatomy.places import LEAST_SPREAD_MM, Atlas, Floats, build_atlas
from coordinator.datasets.audit.findings import Finding, Place, Weight
from coordinator.datasets.audit.robust import FEWEST, NORMAL

ELSEWHERE_Z, ELSEWHERE_MM = 6.0, 40.0
"""An organ lies elsewhere from 40 mm, more than any organ moves between patients relative to its neighbours, and six
robust standard deviations."""
PRESENT_SHARE = 0.8
"""An organ is missed where so many of the cases whose image covers its place have it."""
COVERED_SHARE = 0.6
"""Share of the core of an organ's place that one other organ must cover to have swallowed it."""
CORE, LEAST_HALF_SPREADS = 0.6, 2.0
"""Share of an organ's half axes that is the core of its place; and how many standard deviations of its place its
narrowest half axis must have, or a neighbour seems to cover it: a gallbladder lies at the liver."""
SMALL_SHARE = 0.4
"""Of the usual volume; an organ that is smaller, and far from usual in a body of its size, may have been swallowed in
part."""
END_MM, END_Z = 30.0, 6.0
"""A tube ends elsewhere from 30 mm, a vertebra with its disc, and six robust standard deviations."""

Found = Iterator[Finding]


def judge_places(measures: Mapping[str, CaseOrgans], organs: Mapping[int, str]) -> list[Finding]:
    """Organs that lie, end, or are missing where the other cases show otherwise; none for fewer than `FEWEST` cases."""
    if len(measures) < FEWEST:
        return []
    atlas, volumes = build_atlas(measures, organs), compare_volumes(measures, organs)
    findings = [*_judge_elsewhere(atlas, measures, organs)]
    for column, label in enumerate(atlas.labels):
        findings += _judge_absence(atlas, column, measures, organs, volumes)
        if know(organs[label]).is_tube and not know(organs[label]).has_pieces:
            for direction in (-1, 1):
                findings += _judge_tube_ends(atlas, label, direction, measures, organs)
    return findings


def _judge_elsewhere(atlas: Atlas, measures: Mapping[str, CaseOrgans], organs: Mapping[int, str]) -> Found:
    enough = np.isfinite(atlas.residuals_mm).sum(axis=0) >= FEWEST
    residuals = np.where(enough & np.isfinite(atlas.offsets_mm)[:, None], atlas.residuals_mm, 0.0)
    residuals = np.nan_to_num(residuals)
    distances = np.linalg.norm(residuals, axis=2)
    furthest = np.abs(residuals / np.where(np.isfinite(atlas.spread_mm), atlas.spread_mm, 1.0)).max(axis=2)
    for row, column in np.argwhere((distances >= ELSEWHERE_MM) & (furthest >= ELSEWHERE_Z)):
        case, label = atlas.cases[row], atlas.labels[column]
        measured = measures[case].organ(label)
        if measured is None or know(organs[label]).has_pieces or know(organs[label]).is_tube:
            continue
        distance_mm = float(distances[row, column])
        yield Finding(
            "organ-elsewhere",
            Weight.SUSPECT,
            f"the organ lies {distance_mm:.0f} mm from where the other cases have it, relative to the other organs",
            "look whether the label is another organ's",
            case,
            organs[label],
            distance_mm,
            "mm",
            Place(measured.voxel),
        )


def _judge_absence(
    atlas: Atlas,
    column: int,
    measures: Mapping[str, CaseOrgans],
    organs: Mapping[int, str],
    volumes: Mapping[tuple[str, int], Value],
) -> Found:
    """An organ that is absent, or far too small, though the image covers where it lies in the other cases."""
    label = atlas.labels[column]
    complete = [m for found in measures.values() if (m := found.organ(label)) and m.is_complete]
    if len(complete) < FEWEST or not np.isfinite(atlas.typical_mm[column]).all():
        return
    half_mm = np.median([np.subtract(m.high_mm, m.low_mm) / 2 for m in complete], axis=0)
    usual_ml = float(np.median([m.volume_ml for m in complete]))
    reach_mm = half_mm + atlas.spread_mm[column]
    covering = {}
    for case, offset in zip(atlas.cases, atlas.offsets_mm, strict=True):
        place_mm = offset + atlas.typical_mm[column]
        if np.isfinite(place_mm).all() and _covers(measures[case], place_mm, reach_mm):
            covering[case] = place_mm
    shrunk = {case for (case, i), value in volumes.items() if i == label and value.z <= -FAR_Z}
    present = sum(measures[case].organ(label) is not None for case in covering)
    if present < max(FEWEST, PRESENT_SHARE * len(covering)):
        return
    is_wide = bool(half_mm.min() >= LEAST_HALF_SPREADS * atlas.spread_mm[column].max())
    for case, place_mm in covering.items():
        measured = measures[case].organ(label)
        if measured is None or (case in shrunk and measured.volume_ml < SMALL_SHARE * usual_ml):
            share, neighbour = _find_cover(measures[case], place_mm, CORE * half_mm, label)
            is_covered = is_wide and neighbour in organs and share >= COVERED_SHARE
            covered = (share, organs[neighbour]) if is_covered else None
            if measured is None or covered:
                voxel = _to_voxel(measures[case], place_mm)
                yield _say_missing(case, organs[label], measured, covered, (present, len(covering)), voxel)


def _say_missing(
    case: str,
    organ: str,
    measured: OrganMeasures | None,
    covered: tuple[float, str] | None,
    counts: tuple[int, int],
    voxel: Voxel,
) -> Finding:
    lack = "is absent" if measured is None else f"has only {name_ml(measured.volume_ml)} ml"
    if covered:
        share, neighbour = covered
        text = f"the organ {lack}, and {neighbour} covers {share:.0%} of the place where the other cases have it"
        advice = f"look whether {neighbour} holds the organ's voxels"
        return Finding("organ-swallowed", Weight.SUSPECT, text, advice, case, organ, 100 * share, "%", Place(voxel))
    text = f"the organ {lack}, but {counts[0]} of {counts[1]} cases whose image covers its place have it"
    advice = "look whether it was removed in surgery; if not, draw it, or exclude the case"
    share = 100 * counts[0] / counts[1]
    weight = Weight.ODD if may_be_removed(organ) else Weight.SUSPECT
    return Finding("organ-absent", weight, text, advice, case, organ, share, "% of the cases", Place(voxel))


def _judge_tube_ends(
    atlas: Atlas, label: int, direction: int, measures: Mapping[str, CaseOrgans], organs: Mapping[int, str]
) -> Found:
    """A tube that ends in the image much earlier than in the other cases, or goes on much further."""
    reaches, is_open, limits = {}, {}, {}
    for case, offset in zip(atlas.cases, atlas.offsets_mm[:, 2], strict=True):
        measured = measures[case].organ(label)
        if measured is None or not np.isfinite(offset):
            continue
        end = measured.high_mm[2] if direction > 0 else measured.low_mm[2]
        reaches[case] = direction * (end - offset)
        is_open[case] = measured.border_mm2[5 if direction > 0 else 4] > 0
        limits[case] = direction * (_find_limit_mm(measures[case], direction) - offset)
    if len(reaches) < FEWEST:
        return
    closed = [reach for case, reach in reaches.items() if not is_open[case]]
    # Where the image cuts a tube, it goes on at least to there: the median is at least this.
    median = float(np.median(list(reaches.values())))
    spread = NORMAL * float(np.median(np.abs(np.subtract(closed, np.median(closed))))) if closed else 0.0
    far_mm = max(END_MM, END_Z * max(spread, LEAST_SPREAD_MM) if len(closed) >= FEWEST else END_MM)
    for case, reach in reaches.items():
        short_mm = min(median, limits[case]) - reach
        long_mm = reach - float(np.median(closed)) if len(closed) >= max(FEWEST, len(reaches) / 2) else 0.0
        if not is_open[case] and short_mm >= far_mm:
            yield _say_end(case, organs[label], measures[case], label, (direction, -short_mm))
        elif long_mm >= far_mm:
            yield _say_end(case, organs[label], measures[case], label, (direction, long_mm))


def _say_end(case: str, organ: str, found: CaseOrgans, label: int, end: tuple[int, float]) -> Finding:
    direction, further_mm = end
    where = "upper" if direction > 0 else "lower"
    earlier = "before" if further_mm < 0 else "beyond"
    measured = found.organ(label)
    ends = {e.direction: e.voxel for e in measured.ends if e.axis == 2} if measured else {}
    voxel = ends.get(direction, measured.voxel if measured else (0, 0, 0))
    return Finding(
        "ends-elsewhere",
        Weight.ODD,
        f"its {where} end lies {abs(further_mm):.0f} mm {earlier} where it lies in the other cases",
        "draw the organ to where the dataset's convention ends it",
        case,
        organ,
        abs(further_mm),
        "mm",
        Place(voxel, 1),
    )


def _find_limit_mm(found: CaseOrgans, direction: int) -> float:
    """World z of the image's last slice, in its middle."""
    x, y, z = found.shape
    affine = np.reshape(found.affine, (4, 4))
    return float(affine[2] @ [(x - 1) / 2, (y - 1) / 2, z - 1 if direction > 0 else 0, 1])


def _covers(found: CaseOrgans, place_mm: Floats, reach_mm: Floats) -> bool:
    """Whether a box in the world lies in the image."""
    inverse = np.linalg.inv(np.reshape(found.affine, (4, 4)))
    voxel = inverse[:3, :3] @ place_mm + inverse[:3, 3]
    reach = np.abs(inverse[:3, :3]) @ reach_mm
    return bool((voxel - reach >= 0).all() and (voxel + reach <= np.subtract(found.shape, 1)).all())


def _to_voxel(found: CaseOrgans, place_mm: Floats) -> Voxel:
    inverse = np.linalg.inv(np.reshape(found.affine, (4, 4)))
    voxel = np.rint(inverse[:3, :3] @ place_mm + inverse[:3, 3])
    x, y, z = np.clip(voxel, 0, np.subtract(found.shape, 1)).astype(int).tolist()
    return (x, y, z)


def _find_cover(found: CaseOrgans, place_mm: Floats, core_mm: Floats, label: int) -> tuple[float, int]:
    """Share of an ellipsoid that the most frequent other organ covers, and its id; 0 where it is background."""
    sketch = read_sketch(found.sketch)
    affine = np.reshape(found.affine, (4, 4))
    voxels = np.moveaxis(np.indices(sketch.shape), 0, -1) * found.sketch.step + found.sketch.first
    world = voxels @ affine[:3, :3].T + affine[:3, 3]
    # A core that is narrower than the sketch's step holds at least the nearest sample.
    distance = np.square((world - place_mm) / np.maximum(core_mm, LEAST_SPREAD_MM)).sum(axis=-1)
    inside: NDArray[np.uint16] = sketch[distance <= max(1.0, float(distance.min()))]
    others = inside[inside != label]
    if not others.size:
        return 0.0, 0
    neighbour = int(np.bincount(others).argmax())
    return float(np.mean(inside == neighbour)), neighbour
