"""What is known of an organ by its name: its side, tissue, shape, usual size, and where it lies among the others.

Names are read leniently, since label tables are: `kidney_left`, `Left Kidney` and `kidney (L)` are one organ. An organ
that no row of `FACTS` names is taken as one soft piece without a side.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

LEFT, RIGHT = -1, 1
SIDES = {"left": LEFT, "l": LEFT, "lt": LEFT, "right": RIGHT, "r": RIGHT, "rt": RIGHT}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an organ; the defaults are those of an unknown one.

    Attributes:
        side: of the body where it lies: LEFT, RIGHT, or 0 where it has none.
        is_paired: there is one on each side, so that a label without a side may hold two of them.
        has_pieces: it may lie in several pieces.
        is_tube: it ends where the dataset's convention says, or it is drawn only in part.
        encloses: tissue without its label may lie inside it.
        has_gas: air may lie in it.
        is_hollow: its content decides its size and HU.
        is_vessel: contrast decides its HU.
        is_bone: it may be dense.
        median_hu: least and most that the organ's median can be: between fat (-100) and dense bone, where it is soft
            tissue; None where nothing is known.
        volume_ml: least and most of one complete organ of an adult, generously; None where nothing is known.
        enhancement_hu: what contrast adds to it in the portal venous phase, about.
        height: rank from the feet to the head; two organs whose ranks differ by 1 lie above each other.
        depth: rank from the back to the front, alike.
    """

    side: int = 0
    is_paired: bool = False
    has_pieces: bool = False
    is_tube: bool = False
    encloses: bool = False
    has_gas: bool = False
    is_hollow: bool = False
    is_vessel: bool = False
    is_bone: bool = False
    median_hu: tuple[float, float] | None = (-50, 400)
    volume_ml: tuple[float, float] | None = None
    enhancement_hu: float = 20.0
    height: float | None = None
    depth: float | None = None


_BOWEL = Facts(has_pieces=True, is_tube=True, encloses=True, has_gas=True, is_hollow=True, median_hu=None)
_BONE = Facts(
    is_paired=True, has_pieces=True, is_tube=True, encloses=True, is_bone=True, median_hu=(0, 2000), enhancement_hu=0
)
_VESSEL = Facts(is_tube=True, is_vessel=True, median_hu=(-30, 900), enhancement_hu=110)

FACTS: tuple[tuple[str, Facts], ...] = (
    # The first row whose pattern occurs in the name counts. Volumes are normal ranges of CT volumetry (liver 1000 to
    # 2500 ml, spleen 100 to 350, kidney 110 to 250, pancreas 40 to 130, adrenal 2 to 6, gallbladder 10 to 60) widened
    # about fourfold to both sides, so that atrophy and enlargement pass and a handful of voxels does not.
    ("lesion|tumou?r|cyst|metasta|nodul|stone|calcif|thromb|h[a]?ematoma|fluid|ascites",
     Facts(has_pieces=True, is_tube=True, encloses=True, has_gas=True, is_hollow=True, is_bone=True, median_hu=None)),
    ("vessel|duct", replace(_VESSEL, has_pieces=True, encloses=True, has_gas=True)),
    ("heart|atri|ventric|myocard|pericard",
     replace(_VESSEL, encloses=True, volume_ml=None, height=6, depth=1)),
    ("airway|bronch", Facts(has_pieces=True, is_tube=True, has_gas=True, is_hollow=True, median_hu=None)),
    ("trachea", Facts(is_tube=True, has_gas=True, is_hollow=True, median_hu=(-1100, 0), height=7)),
    ("lung|pulmonary_lobe", Facts(is_paired=True, encloses=True, has_gas=True, is_hollow=True, median_hu=(-1100, 0),
                        volume_ml=(50, 6000), height=6)),
    ("rectum|rectal|(^|_)an(al|us)", replace(_BOWEL, has_pieces=False, height=0, depth=-2)),
    ("colon|bowel|intestin|jejun|ileum|c[a]?ecum|sigmoid|appendix", _BOWEL),
    ("duoden", replace(_BOWEL, has_pieces=False, volume_ml=(3, 500), height=2.6)),
    ("stomach|gastric", Facts(side=LEFT, encloses=True, has_gas=True, is_hollow=True, median_hu=None,
                              volume_ml=(15, 4000), height=3.8, depth=1.5)),
    ("sophag", Facts(is_tube=True, has_gas=True, is_hollow=True, median_hu=None, volume_ml=(2, 200), height=5,
                     depth=-1.5)),
    ("gall_?bladder", Facts(side=RIGHT, is_hollow=True, median_hu=(-80, 2000), volume_ml=(0.5, 400), height=3,
                            depth=1)),
    ("bladder", Facts(is_hollow=True, median_hu=(-80, 2000), volume_ml=(3, 2500), height=0, depth=1)),
    ("prostat|uterus|uterine|seminal|ovar|cervix", Facts(is_hollow=True, volume_ml=(3, 3000), height=-0.5)),
    ("liver", Facts(side=RIGHT, volume_ml=(300, 8000), enhancement_hu=55, height=4, depth=0)),
    ("spleen", Facts(side=LEFT, volume_ml=(15, 4000), enhancement_hu=75, height=4, depth=-1.5)),
    ("adrenal", Facts(is_paired=True, volume_ml=(0.3, 60), enhancement_hu=40, height=4, depth=-2)),
    ("kidney", Facts(is_paired=True, volume_ml=(15, 1200), enhancement_hu=150, height=3, depth=-2)),
    ("pancrea", Facts(volume_ml=(6, 400), enhancement_hu=60, height=3.2, depth=0)),
    ("aort", replace(_VESSEL, depth=-2)),
    ("cava|^ivc$", replace(_VESSEL, depth=-1.5)),
    ("vein|vena|arter|trunk|carotid|subclav|brachioceph|iliac_(a|v)|celiac|portal", replace(_VESSEL, has_pieces=True)),
    ("spinal|cord", Facts(is_tube=True, depth=-4)),
    ("vertebra|spine|sacrum", replace(_BONE, is_paired=False, depth=-4)),
    ("femur|femor|(^|_)hip|pelvi|ischi|acetab", replace(_BONE, height=-0.5)),
    ("humer|scapul|clavic|stern|(^|_)ribs?(_|$)|skull|bone|costal|tibia|fibula|radius|ulna|patella|mandib", _BONE),
    ("muscle|glut|autochthon|psoas|fat|skin|body|torso|cavity|mediastin",
     Facts(is_paired=True, has_pieces=True, is_tube=True, encloses=True, has_gas=True, is_hollow=True,
           median_hu=None)),
    ("brain|(^|_)face|(^|_)head", Facts(encloses=True, has_gas=True, is_hollow=True, median_hu=None)),
)  # fmt: skip

NAMED_BY_CHAMBER = re.compile("heart|atri|ventric|myocard|liver|hepat|brachioceph|pulmon")
"""Organs whose `left` and `right` are parts of the organ, not sides of the body."""
REMOVED = re.compile("gall_?bladder|kidney|spleen|adrenal|uterus|prostat|bladder|stomach|lung")
"""Organs that surgery removes as a whole."""
MIDLINE = re.compile("vertebra|spine|spinal|sacrum|stern")
"""Organs that mark the middle of the body."""


@cache
def know(organ: str) -> Facts:
    """What is known of an organ by its name."""
    name = stem(organ)
    facts = next((facts for pattern, facts in FACTS if re.search(pattern, name)), Facts())
    side = named_side(organ)
    if side and not NAMED_BY_CHAMBER.search(name):
        return replace(facts, side=side, is_paired=False)
    if facts.is_paired and facts.volume_ml:
        least, most = facts.volume_ml
        return replace(facts, has_pieces=True, volume_ml=(least, 2 * most))
    return replace(facts, has_pieces=facts.has_pieces or facts.is_paired)


@cache
def stem(organ: str) -> str:
    """The name without its side, in lower case: `kidney` of `Left Kidney`."""
    return "_".join(word for word in _words(organ) if word not in SIDES)


def named_side(organ: str) -> int:
    """The side that a name gives: LEFT, RIGHT, or 0 where it gives none."""
    sides = {SIDES[word] for word in _words(organ) if word in SIDES}
    return sides.pop() if len(sides) == 1 else 0


def find_pairs(organs: Iterable[str]) -> list[tuple[str, str]]:
    """The left and the right one of each organ that a table names for both sides."""
    sides: dict[str, dict[int, str]] = {}
    for organ in organs:
        if know(organ).side and named_side(organ):
            sides.setdefault(stem(organ), {})[know(organ).side] = organ
    return [(both[LEFT], both[RIGHT]) for both in sides.values() if len(both) == 2]


@cache
def is_midline(organ: str) -> bool:
    """Whether an organ marks the middle of the body."""
    return MIDLINE.search(stem(organ)) is not None


@cache
def may_be_removed(organ: str) -> bool:
    """Whether surgery removes an organ as a whole, so that its absence may be right."""
    return REMOVED.search(stem(organ)) is not None


@cache
def _words(organ: str) -> tuple[str, ...]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", organ)
    return tuple(re.findall(r"[a-z0-9]+", spaced.lower()))
