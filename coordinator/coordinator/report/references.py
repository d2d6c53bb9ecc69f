"""Works that a study stands on: the fixed ones, and those that manifests and datasets cite, as text and as BibTeX.

Manifests cite in one line, "Authors. Title. Where (year). doi X"; what can be recognised in it becomes BibTeX fields,
and what can't is kept as it is in `note`, so that nothing is lost.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reference:
    """A work that is cited.

    Attributes:
        key: its BibTeX key.
        text: as it stands in a list of references.
        fields: of BibTeX.
        kind: of BibTeX.
    """

    key: str
    text: str
    fields: tuple[tuple[str, str], ...]
    kind: str = "misc"

    @property
    def bibtex(self) -> str:
        """As an entry of a .bib file."""
        lines = [f"  {name} = {{{_escaped(value)}}}," for name, value in self.fields]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"]) + "\n"


@dataclass(slots=True)
class Bibliography:
    """References in the order in which they were first cited."""

    found: list[Reference] = field(default_factory=list)

    def cite(self, *texts: str) -> str:
        """Cite works by their one-line citations; returns their numbers in brackets, nothing for none."""
        numbers = []
        for text in (" ".join(text.split()) for text in texts):
            if not text:
                continue
            known = [reference.text for reference in self.found]
            if text not in known:
                self.found.append(reference(text, {r.key for r in self.found}))
            numbers.append([r.text for r in self.found].index(text) + 1)
        return f" [{', '.join(str(number) for number in sorted(set(numbers)))}]" if numbers else ""

    @property
    def bibtex(self) -> str:
        """The content of `references.bib`."""
        return "\n".join(reference.bibtex for reference in self.found)


def reference(text: str, taken: Iterable[str] = ()) -> Reference:
    """A reference from its citation in one line.

    Args:
        text: such as "Ma, He. Segment anything. Nature 15, 654 (2024). doi 10.1/2".
        taken: keys that other references have.
    """
    found = PATTERN.fullmatch(text)
    if found is None:
        return Reference(_free_key(_key(text.split()[0], text), taken), text, (("note", text),))
    authors = re.split(r", | and ", found["authors"].removesuffix(" et al"))
    others = ["others"] if found["authors"].endswith(" et al") else []
    fields = {
        "author": " and ".join([*authors, *others]), "title": found["title"],
        "howpublished": found["where"],
        "year": found["year"], "doi": found["doi"] or "",
    }  # fmt: skip
    return Reference(
        _free_key(_key(authors[0], text), taken), text, tuple((name, value) for name, value in fields.items() if value)
    )


PATTERN = re.compile(
    r"(?P<authors>.+?)\. (?P<title>.+?(?:\?|(?=\. )))\.? (?P<where>.+?),? ?"
    r"\((?P<year>\d{4})\)\.?(?: doi:? (?P<doi>10\.\S+?))?\.?"
)


def _key(author: str, text: str) -> str:
    """Such as ma2024: plain letters only."""
    plain = unicodedata.normalize("NFKD", author).encode("ascii", "ignore").decode()
    year = re.search(r"\((\d{4})\)", text)
    return f"{re.sub('[^a-z]', '', plain.lower()) or 'work'}{year[1] if year else ''}"


def _free_key(key: str, taken: Iterable[str]) -> str:
    used = set(taken)
    return next(k for k in (key, *(f"{key}{letter}" for letter in "bcdefghijklmnopqrstuvwxyz")) if k not in used)


def _escaped(value: str) -> str:
    return re.sub(r"([&%$#_])", r"\\\1", value)
