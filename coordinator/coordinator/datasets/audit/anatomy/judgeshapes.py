"""Judges the shape of each organ by itself: pieces, holes, empty slices, flat cuts, jumps, and the image's border."""

from collections.abc import Iterator, Mapping

from coordinator.datasets.audit.anatomy.organfacts import know
from coordinator.datasets.audit.anatomy.organmeasures import CaseOrgans, Gap, OrganMeasures
from coordinator.datasets.audit.anatomy.shapes import LEAST_WIDTH_SLICES
from coordinator.datasets.audit.findings import Finding, Place, Weight

LARGE_PIECE_ML, LARGE_PIECE_SHARE, LEAST_PIECE_ML = 5.0, 0.05, 0.2
"""A second piece is large from 5 ml, the size of an adrenal gland, or from 5 % of its organ, where it changes Dice by
more than two annotators of a large organ differ (0.95); below 0.2 ml, a cube of 6 mm, it is a speck of any organ."""
LEAST_VOXELS = 8
"""Of a large piece, or of an organ that is more than a handful of voxels: a cube of two."""
HOLE_ML, HOLE_SHARE, LEAST_HOLE_ML, LEAST_HOLE_VOXELS = 0.5, 0.03, 0.1, 4
"""A hole counts from 0.5 ml, 10 mm across: vessels that cross an organ are narrower, and lie open at its surface."""
LARGE_HOLE_ML, LARGE_HOLE_SHARE = 2.0, 0.05
GAP_SECTION_SHARE, GAP_VOLUME_SHARE, GAP_OVERLAP = 0.1, 0.1, 0.3
"""Both parts beside empty slices must have a tenth of the organ's largest section and of its volume: on the ground
truth of AMOS, stray specks far from the stomach and the adrenal gland had less than 3 % of either. The sections beside
the gap must overlap, or the smaller part is a piece that lies elsewhere."""
LONGEST_GAP_SLICES, LONGEST_GAP_MM = 3, 15.0
"""A longer gap parts two pieces; nobody forgets so many slices."""
CUT_AREA_MM2, CUT_OF_DEEPER, CUT_OF_LARGEST, CUT_ALIKE, CUT_SLICES = 300.0, 0.7, 0.25, 0.7, 2
"""An end is cut flat when its last section has 300 mm2 (20 mm across) and is four slices wide, when it has 70 % of the
section 8 mm inside (a rounded end has at most half of it at slices of 8 mm) and a quarter of the largest one, and when
behind 70 % of it the image goes on with the organ's own HU for two slices: on real organs' natural ends at most half
of it does."""
REPEATED_SHARE = 0.3
"""Labels on a grid that is 1.5 times as fine repeat a third of their slices; those of AMOS repeat 4 % at most."""
BORDER_MM2 = 100.0
"""Of an organ on the image's side; 10 mm across."""
SIDES = ("left", "right", "back", "front")

Found = Iterator[Finding]


def judge_shapes(measures: Mapping[str, CaseOrgans], organs: Mapping[int, str]) -> list[Finding]:
    """What is wrong or odd about the shape of each organ, whatever the other cases are like."""
    findings: list[Finding] = []
    for case, found in measures.items():
        for measured in found.organs:
            organ = organs[measured.label]
            findings += _judge_voxels(case, organ, measured)
            findings += _judge_parts(case, organ, measured)
            findings += _judge_holes(case, organ, measured, organs)
            findings += _judge_ends(case, organ, measured)
            findings += _judge_jumps(case, organ, measured)
        findings += _judge_specks(case, found, organs)
        findings += _judge_border(case, found, organs)
        findings += _judge_repeats(case, found)
    return findings


def is_handful(measured: OrganMeasures) -> bool:
    """Whether an organ that the image's border does not cut is a handful of voxels."""
    return measured.voxels < LEAST_VOXELS and measured.is_complete


def _judge_voxels(case: str, organ: str, measured: OrganMeasures) -> Found:
    if is_handful(measured):
        yield Finding(
            "handful-of-voxels",
            Weight.SUSPECT,
            f"the whole organ has {measured.voxels} voxels",
            "remove the stray voxels, or draw the organ",
            case,
            organ,
            measured.voxels,
            "voxels",
            Place(measured.voxel),
        )


def _judge_parts(case: str, organ: str, measured: OrganMeasures) -> Found:
    """Empty slices between two parts; else the second piece, where it is large."""
    if know(organ).has_pieces:
        return
    gaps = [gap for gap in measured.gaps if _parts_an_organ(gap)]
    if gaps:
        gap = max(gaps, key=lambda gap: gap.length_mm)
        yield Finding(
            "empty-slices",
            Weight.SUSPECT,
            f"two parts of the organ lie apart by {gap.slices} empty {_name_slices(gap.axis, gap.slices)}, "
            f"{gap.length_mm:.0f} mm; the smaller part has {gap.volume_share:.0%} of it",
            "draw the organ in the empty slices, or remove the part that is wrong",
            case,
            organ,
            gap.length_mm,
            "mm",
            Place(gap.voxel, 1 if gap.axis == 2 else 2),
        )
        return
    pieces = [piece for piece in measured.pieces[1:] if is_large(piece.volume_ml, piece.voxels, measured)]
    if pieces:
        second = pieces[0]
        share = second.volume_ml / measured.volume_ml
        yield Finding(
            "several-pieces",
            Weight.SUSPECT,
            f"the organ must be one piece, but has {measured.piece_count}; "
            f"the second has {second.volume_ml:.1f} ml, {share:.0%} of it",
            "join the pieces, or remove the one that is not the organ",
            case,
            organ,
            second.volume_ml,
            "ml",
            Place(second.voxel),
        )


def _parts_an_organ(gap: Gap) -> bool:
    is_short = gap.slices <= LONGEST_GAP_SLICES or gap.length_mm <= LONGEST_GAP_MM
    is_part = gap.section_share >= GAP_SECTION_SHARE and gap.volume_share >= GAP_VOLUME_SHARE
    return is_short and is_part and gap.overlap >= GAP_OVERLAP


def _name_slices(axis: int, count: int) -> str:
    return f"{('sagittal', 'coronal', 'axial')[axis]} slice{'s' if count > 1 else ''}"


def is_large(volume_ml: float, voxels: int, measured: OrganMeasures) -> bool:
    """Whether a piece is too large for a stray speck of its organ."""
    is_share = volume_ml >= max(LARGE_PIECE_SHARE * measured.volume_ml, LEAST_PIECE_ML)
    return voxels >= LEAST_VOXELS and (volume_ml >= LARGE_PIECE_ML or is_share)


def _judge_specks(case: str, found: CaseOrgans, organs: Mapping[int, str]) -> Found:
    """Stray specks of all organs of a case as one finding, with the organ that has the most."""
    counts = {}
    for measured in found.organs:
        large = [piece for piece in measured.pieces[1:] if is_large(piece.volume_ml, piece.voxels, measured)]
        specks = measured.piece_count - 1 - len(large)
        if specks > 0 and not know(organs[measured.label]).has_pieces:
            counts[measured.label] = specks
    if not counts:
        return
    label = max(counts, key=lambda label: counts[label])
    worst = next(measured for measured in found.organs if measured.label == label)
    small = [piece for piece in worst.pieces[1:] if not is_large(piece.volume_ml, piece.voxels, worst)]
    listed = ", ".join(f"{organs[label]} {count}" for label, count in sorted(counts.items(), key=lambda c: -c[1]))
    total = sum(counts.values())
    yield Finding(
        "stray-specks",
        Weight.ODD,
        f"{total} stray speck{'s' if total > 1 else ''}, pieces far smaller than their organ: {listed}",
        "remove the specks by keeping the largest piece of each organ",
        case,
        organs[label],
        total,
        "specks",
        Place((small[0] if small else worst.pieces[-1]).voxel),
    )


def _judge_holes(case: str, organ: str, measured: OrganMeasures, organs: Mapping[int, str]) -> Found:
    holes = [hole for hole in measured.holes if not hole.label]
    if holes and _is_hole(holes[0].volume_ml, holes[0].voxels, measured):
        hole = holes[0]
        share = hole.volume_ml / measured.volume_ml
        is_suspect = hole.volume_ml >= LARGE_HOLE_ML or share >= LARGE_HOLE_SHARE
        yield Finding(
            "hole",
            Weight.SUSPECT if is_suspect else Weight.ODD,
            f"the organ must be filled, but encloses a hole of {hole.volume_ml:.1f} ml, {share:.1%} of it",
            "fill the hole, unless it is a lesion that the dataset leaves out",
            case,
            organ,
            hole.volume_ml,
            "ml",
            Place(hole.voxel),
        )
    for hole in measured.holes:
        if hole.label and hole.label in organs and hole.voxels >= LEAST_HOLE_VOXELS and hole.volume_ml >= LEAST_HOLE_ML:
            inner = know(organs[hole.label])
            if inner.is_vessel or inner.is_tube or inner.encloses:
                continue
            yield Finding(
                "label-inside-another",
                Weight.SUSPECT,
                f"the organ encloses {hole.volume_ml:.1f} ml of {organs[hole.label]}",
                f"give the enclosed voxels the label of {organ}, or correct the outline of both",
                case,
                organ,
                hole.volume_ml,
                "ml",
                Place(hole.voxel),
            )


def _is_hole(volume_ml: float, voxels: int, measured: OrganMeasures) -> bool:
    least = min(HOLE_ML, max(LEAST_HOLE_ML, HOLE_SHARE * measured.volume_ml))
    return voxels >= LEAST_HOLE_VOXELS and volume_ml >= least


def _judge_ends(case: str, organ: str, measured: OrganMeasures) -> Found:
    """Flat cuts, one finding an organ: the largest; tubes are compared with the other cases instead."""
    if know(organ).is_tube or know(organ).has_pieces:
        return
    cuts = [
        end
        for end in measured.ends
        if end.area_mm2 >= max(CUT_AREA_MM2, (LEAST_WIDTH_SLICES * end.slice_mm) ** 2)
        and end.share_of_deeper >= CUT_OF_DEEPER
        and end.share_of_largest >= CUT_OF_LARGEST
        and end.alike_beyond >= CUT_ALIKE
        and end.beyond_slices >= CUT_SLICES
    ]
    if cuts:
        end = max(cuts, key=lambda end: end.area_mm2)
        yield Finding(
            "cut-flat",
            Weight.SUSPECT,
            f"the organ ends in a flat cut of {end.area_mm2:.0f} mm2, {end.share_of_largest:.0%} of its largest "
            f"section, but the image goes on for {end.beyond_slices} {_name_slices(end.axis, end.beyond_slices)} "
            "with the same tissue",
            "draw the rest of the organ, or set the case aside if it is half drawn",
            case,
            organ,
            end.area_mm2,
            "mm2",
            Place(end.voxel, 1 if end.axis == 2 else 2),
        )


def _judge_jumps(case: str, organ: str, measured: OrganMeasures) -> Found:
    facts = know(organ)
    if facts.is_tube or facts.has_pieces or not measured.jumps:
        return
    jump = measured.jumps[0]
    places = "place" if measured.jump_count == 1 else "places"
    yield Finding(
        "jumping-slices",
        Weight.SUSPECT,
        f"the outline jumps from slice to slice at {measured.jump_count} {places}; at the worst, two sections overlap "
        f"by a Dice of {jump.overlap:.2f}, those beside them by {jump.usual_overlap:.2f}",
        "draw the slice again that lies beside the others",
        case,
        organ,
        measured.jump_count,
        "places",
        Place(jump.voxel, 1 if jump.axis == 2 else 2),
    )


def _judge_border(case: str, found: CaseOrgans, organs: Mapping[int, str]) -> Found:
    """Organs that the image cuts at its sides, as one finding with the one that it cuts most."""
    touching = []
    for measured in found.organs:
        facts = know(organs[measured.label])
        area, side = max(zip(measured.border_mm2[:4], SIDES, strict=True))
        if area >= BORDER_MM2 and not (facts.is_tube or facts.has_pieces):
            touching.append((area, measured, side))
    if not touching:
        return
    area, worst, side = max(touching, key=lambda touch: touch[0])
    listed = ", ".join(organs[measured.label] for _, measured, _ in touching)
    yield Finding(
        "cut-by-image-side",
        Weight.ODD,
        f"the image's {side} side cuts the organ, {area:.0f} mm2; organs that its sides cut: {listed}",
        "nothing, if the scan is so narrow; volumes of these organs are too small",
        case,
        organs[worst.label],
        area,
        "mm2",
        Place(worst.voxel),
    )


def _judge_repeats(case: str, found: CaseOrgans) -> Found:
    share, axis = max((share, axis) for axis, share in enumerate(found.repeated))
    if share >= REPEATED_SHARE:
        axes = " and ".join(
            f"{share:.0%} of the {_name_slices(axis, 2)}"
            for axis, share in enumerate(found.repeated)
            if share >= REPEATED_SHARE
        )
        yield Finding(
            "repeated-slices",
            Weight.ODD,
            f"{axes} repeat the labels of the one before: they were drawn on a coarser grid, or copied",
            "use the labels on their own grid, or smooth them; surface scores measure the steps",
            case,
            "",
            share,
            "of slices",
            Place(found.repeated_voxel, (axis + 1) % 3 if axis != 0 else 2),
        )
