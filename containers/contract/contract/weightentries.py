"""Weights as a manifest names them: where they lie, where they come from, and what must hold for them."""

from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, field_validator, model_validator

from contract import yamlfiles
from contract.yamlnodes import show_text

MOVING = frozenset({"develop", "head", "heads", "latest", "main", "master", "nightly", "trunk"})
"""Parts of an address that name whatever is newest: branches, and the release of the day."""


def is_mutable(url: str) -> bool:
    """Whether what an address gives changes as its owner goes on working: it names a branch, or the latest release."""
    parts = urlsplit(url)
    words = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    return any(word.lower() in MOVING for word in words)


class Weights(yamlfiles.Strict):
    """Trained weights: below the weights folder (`<tool>/<file>`), or inside an installed Python package."""

    file: str = Field(pattern=r"^[\w][\w./+-]*$", description="a file, or the folder that an archive holds")
    package: str | None = Field(default=None, description="Python package that contains the file")
    url: str | None = Field(default=None, description="where to fetch it; None where that needs a person")
    page: str | None = Field(default=None, description="the page on which a person finds it")
    archive: Literal["zip"] | None = Field(
        default=None, description="`url` gives an archive that holds the folder `file`"
    )
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$",
        description="of what `url` gives; None where upstream publishes none: then the first fetch records it",
    )  # fmt: skip
    unpinned: str | None = Field(
        default=None, min_length=1, description="why `url` names what upstream may replace, such as a branch"
    )
    size_mb: float | None = Field(default=None, gt=0, le=10_000_000, description="None where upstream does not say")
    licence: str
    terms: str | None = Field(default=None, description="what a person must agree to before it is fetched")

    @field_validator("file")
    @classmethod
    def _check_file(cls, file: str) -> str:
        if {"", ".", ".."} & {*file.split("/")} or len(file) > 250:
            raise ValueError(f"must be a path below the weights folder, without `..`, but it is {show_text(file)!r}")
        return file

    @model_validator(mode="after")
    def _check_url(self) -> "Weights":
        if self.url and "/blob/" in self.url:
            raise ValueError(f"url: must give the file, but {self.url} shows its page; write /resolve/ or /raw/ there")
        if self.url and self.sha256 is None and self.unpinned is None and is_mutable(self.url):
            raise ValueError(
                f"url: must name one revision for ever, such as a commit in place of `main`, but is {self.url}; name "
                "one, or give its sha256, or say under `unpinned:` why neither is known"
            )
        return self
