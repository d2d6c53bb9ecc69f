"""Text prompts: what VoxTell is asked for, organ by organ, in words whose embeddings its authors published."""

from collections.abc import Collection, Mapping

from contract import UsageError
from contract.yamlfiles import did_you_mean

PROMPTS = {
    # organ: prompt, where the organ's name isn't among the published prompts or means something else there
    "adrenal": "adrenal glands",  # WORD: both
    "head_of_femur_left": "left femoral head",
    "head_of_femur_right": "right femoral head",
    "intestine": "small bowel",  # WORD: without the duodenum
    "kidney": "kidneys",  # AbdomenCT-1K, FLARE21: both
}
SIDES = ("left", "right")


def choose_prompts(organs: Mapping[int, str], option: str, published: Collection[str]) -> dict[int, str]:
    """Choose the prompt of each organ: the option's, else that of `PROMPTS`, else the organ's name.

    Args:
        organs: label id -> organ, as the dataset names them.
        option: `organ=prompt` with semicolons between them; an organ without a prompt is not looked for.
        published: prompts that have embeddings, in lower case.

    Returns:
        label id -> prompt, in the order of the ids.

    Raises:
        UsageError: there is no organ to look for, the option names an organ that the dataset has not, a prompt has no
            embedding, or two organs have one prompt.
    """
    own = _parse_option(option)
    known = {organ.lower() for organ in organs.values()}
    for organ in own:
        if organ not in known:
            raise UsageError(f"--prompts: the dataset has no organ {organ!r}; {did_you_mean(organ, organs.values())}")
    chosen = {label: own.get(organ.lower(), _describe(organ)) for label, organ in sorted(organs.items())}
    prompts = {label: prompt for label, prompt in chosen.items() if prompt}
    if not prompts:
        raise UsageError("VoxTell needs an organ to look for, but the dataset names none that has a prompt; add labels")
    for label, prompt in prompts.items():
        if prompt not in published:
            near = did_you_mean(prompt, published)
            end = "" if near.endswith("?") else "."
            raise UsageError(
                f"{organs[label]}: its prompt must be one whose embedding was published, but {prompt!r} is none; "
                f"{near}{end} Name another with --prompts '{organs[label]}=…', or none to leave this organ out"
            )
    _refuse_same(organs, prompts)
    return prompts


def _refuse_same(organs: Mapping[int, str], prompts: Mapping[int, str]) -> None:
    """Refuse one prompt for two organs: both would get the same voxels, and the one with the higher id none."""
    first: dict[str, int] = {}
    for label, prompt in prompts.items():
        other, organ = first.setdefault(prompt, label), organs[label]
        if other != label:
            raise UsageError(
                f"{organs[other]}, {organ}: must have different prompts, but both have {prompt!r}; name another with "
                f"--prompts '{organ}=…', or leave one out with --prompts '{organ}='"
            )


def _parse_option(option: str) -> dict[str, str]:
    """Organ -> prompt, both in lower case, as VoxTell was trained on them; empty where the organ is left out."""
    pairs = [pair.partition("=") for pair in option.split(";") if pair.strip()]
    return {organ.strip().lower(): prompt.strip().lower() for organ, _, prompt in pairs}


def _describe(organ: str) -> str:
    """What `PROMPTS` says, or the name in words, the side first: `lung_upper_lobe_left` is `left lung upper lobe`."""
    words = organ.lower().replace("_", " ").split()
    if words and words[-1] in SIDES:
        words = [words[-1], *words[:-1]]
    return PROMPTS.get(organ.lower()) or " ".join(words) or organ
