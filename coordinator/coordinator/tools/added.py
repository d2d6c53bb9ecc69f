"""Tools that are foreign images: what is kept of each, so that a study runs what was checked and nothing else.

    coordinator tool add IMAGE ──► TOOLS/<image>.tool.json ──► `tool: "image:IMAGE"` of a study file

An image has up to three names, and a study may use any of them:

    lab/seg:1               a tag, which may lead elsewhere tomorrow
    lab/seg@sha256:4f0c…    a digest: the one that a registry gave, or else the id of an image called lab/seg
    sha256:4f0c…            the id: the digest of the image's own description, which this machine's engine knows
"""

import json
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote, unquote

from pydantic import Field, ValidationError, field_validator

from contract import atomic, statefiles
from contract.errors import UsageError
from contract.manifest import Manifest
from contract.records import digest
from contract.yamlfiles import Items, Line, Strict, did_you_mean
from contract.yamlnodes import show_text

PREFIX = "image:"
"""How `tool` of a study file begins where it names an image."""
SUFFIX = ".tool.json"
"""Of the files; others in the folder are left alone."""
MOST_LETTERS = 200
"""Of a file's name without its suffix; a longer one ends with a digest. File systems take 255 bytes."""
DIGEST = r"^sha256:[0-9a-f]{64}$"
DOCKER_HUB = ("index.docker.io/", "docker.io/", "library/")
"""What names of images begin with that Docker shows without."""


class CheckedRule(Strict):
    """A rule of the tool contract, as it was checked."""

    rule: str
    what: str
    holds: bool | None = Field(description="null where it says nothing about the tool")
    reason: str = Field(default="", description="why it says nothing")


class AddedTool(Strict):
    """What is kept of an image that was added as a tool."""

    image: Line = Field(description="its name, as `coordinator tool add` or the study file gives it")
    id: str = Field(pattern=DIGEST, description="which image had that name")
    digests: Items[Line] = Field(default=(), description="its names by digest in registries")
    manifest: Manifest = Field(description="as `describe` printed it")
    checks: dict[str, Items[CheckedRule]] = Field(description="variant -> all rules, all of which held")
    skip_check: bool = Field(default=False, description="whether variants may be used that were not checked")
    added: Line = Field(description="date and time, UTC")
    coordinator: Line = Field(default_factory=lambda: version("label-quality-coordinator"))

    @field_validator("checks")
    @classmethod
    def _refuse_unsound(cls, checks: dict[str, tuple[CheckedRule, ...]]) -> dict[str, tuple[CheckedRule, ...]]:
        for variant, rules in checks.items():
            if any(rule.holds is False for rule in rules) or not any(rule.holds for rule in rules):
                raise ValueError(f"all rules that say something of variant {variant} must hold, and one must at least")
        return checks

    @property
    def pinned(self) -> str:
        """Its name by digest: a registry's where there is one, else by its id."""
        repository, _ = split_name(self.image)
        if not repository:
            return self.id
        of_registries = (name for name in self.digests if split_name(name)[0] == repository)
        return next(of_registries, f"{repository}@{self.id}")

    def is_called(self, image: str) -> bool:
        """Whether a name is that of this image: by its digest, or as it was added."""
        repository, digest = split_name(image)
        if not digest:
            return complete_name(image) == complete_name(self.image)
        return digest == self.id or (repository, digest) in map(split_name, self.digests)

    def may_run(self, variant: str) -> bool:
        """Whether a variant was checked, or somebody said that it need not be."""
        return variant in self.checks or self.skip_check

    def describe_check(self, variant: str) -> str:
        """What the check of a variant said, in a few words."""
        if variant not in self.checks:
            return "was not checked against the tool contract"
        held = [rule.holds for rule in self.checks[variant]]
        silent = f", {held.count(None)} say nothing about it" if None in held else ""
        return f"keeps the tool contract: {held.count(True)} rules hold{silent}"


def split_name(image: str) -> tuple[str, str]:
    """Repository and digest of an image's name, as Docker shows them; each is empty where the name has none."""
    if image.startswith("sha256:"):
        return "", image
    name, _, digest = image.partition("@")
    for prefix in DOCKER_HUB:
        name = name.removeprefix(prefix)
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}", digest


def complete_name(image: str) -> str:
    """A name without a digest as Docker completes it: with the tag `latest` where it has none."""
    repository, _ = split_name(image)
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return f"{repository}:{tag if colon else 'latest'}"


def parse_added(content: bytes) -> AddedTool:
    """Parse what is kept of an added tool.

    Raises:
        ValueError: it is something else.
    """
    try:
        return AddedTool.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, problem['loc'])) or 'it'}: {problem['msg']}") from None


def added_file(folder: Path, image: str) -> Path:
    """The file about an added image, the same for all spellings of its name."""
    name = quote(_spell(image), safe="", errors="surrogateescape")
    if len(name) > MOST_LETTERS:
        name = f"{name[: MOST_LETTERS - 20]}-{digest(name)[:16]}"
    return folder / f"{name}{SUFFIX}"


def keep_added(folder: Path, added: AddedTool) -> Path:
    """Write down an added tool and return the file; checks of other variants of the same image stay."""
    file = added_file(folder, added.image)
    spellings = _list_spellings(folder, added.image)
    for before in (statefiles.read(spelling, parse_added) for spelling in spellings):
        if before is not None and before.id == added.id:
            added = added.model_copy(update={"checks": before.checks | added.checks})
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_json(file, added.model_dump(mode="json"))
    for spelling in set(spellings) - {file}:
        spelling.unlink()
    return file


def _spell(image: str) -> str:
    """The one spelling of a name: as Docker completes it, without what it is shown without."""
    repository, digest = split_name(image)
    return complete_name(image) if not digest else f"{repository}@{digest}" if repository else digest


def _list_spellings(folder: Path, image: str) -> list[Path]:
    """The files about an image, also those under other spellings of its name, as an earlier release made them."""
    file, name = added_file(folder, image), _spell(image)
    others = (path for path in sorted(folder.glob(f"[!.]*{SUFFIX}")) if path != file)
    named = [path for path in others if _spell(unquote(path.name.removesuffix(SUFFIX))) == name]
    return [*named, *([file] if file.is_file() else [])]


def list_added(folder: Path) -> list[AddedTool]:
    """All added tools, sorted by name; none where there is no such folder.

    Raises:
        UsageError: a file is damaged.
    """
    return [
        statefiles.require(file, parse_added, "remove it, and add its image again with `coordinator tool add`")
        for file in sorted(folder.glob(f"[!.]*{SUFFIX}"))
    ]


def find_added(folder: Path, image: str, variant: str | None = None) -> AddedTool:
    """Find an added tool by any name of its image.

    A name without a digest is the image that was added last under it. Of several records of one image, one with a check
    of the variant is taken.

    Args:
        folder: of added tools.
        image: its name.
        variant: None for the default one.

    Returns:
        What is kept of it, under the given name.

    Raises:
        UsageError: it was never added, or a file is damaged.
    """
    added = list_added(folder)
    found = [each for each in added if each.is_called(image)]
    if not found:
        near = f"; {did_you_mean(image, [each.image for each in added])}" if added else ""
        raise UsageError(
            f"image {show_text(image, 200)} was never added to {folder}, so nothing is known of it{near}; "
            f"`coordinator tool add {show_text(image, 200)}` checks it and adds it"
        )
    newest = max(found, key=lambda each: each.added)
    same = [each for each in found if each.id == newest.id]
    best = max(same, key=lambda each: ((variant or each.manifest.default_variant) in each.checks, each.added))
    return best.model_copy(update={"image": image})


def remove_added(folder: Path, image: str) -> Path:
    """Forget an added tool, by the name with which it was added; its image stays. Returns the file that was removed.

    Raises:
        UsageError: it was never added.
    """
    files = _list_spellings(folder, image)
    if not files:
        names = [each.image for each in list_added(folder)]
        near = f"; {did_you_mean(image, names)}" if names else ""
        raise UsageError(f"image {image} was never added to {folder}{near}")
    for file in files:
        file.unlink()
    return files[-1]


def read_record(record: object) -> AddedTool:
    """An added tool of its record in a plan.

    Raises:
        ValueError: it is something else.
    """
    return parse_added(json.dumps(record).encode())
