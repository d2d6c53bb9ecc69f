"""Works that the report cites, as text and as BibTeX.

Manifests and datasets cite in one line, "Authors. Title. Where (year). doi X". The parts become BibTeX fields; a line
of another form is kept whole in the field `note`.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reference:
    """A cited work.

    Attributes:
        key: its BibTeX key.
        text: its citation in one line.
        fields: BibTeX fields.
        kind: BibTeX entry type.
    """

    key: str
    text: str
    fields: tuple[tuple[str, str], ...]
    kind: str = "misc"

    @property
    def bibtex(self) -> str:
        """As an entry of a .bib file."""
        lines = [f"  {name} = {{{_escape(value)}}}," for name, value in self.fields]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"]) + "\n"


@dataclass(slots=True)
class Bibliography:
    """References in the order in which they were first cited."""

    references: list[Reference] = field(default_factory=list)

    def cite(self, *texts: str) -> str:
        """Cite works by their one-line citations; returns their numbers in brackets, nothing for none."""
        numbers = []
        for text in (" ".join(text.split()) for text in texts):
            if not text:
                continue
            known = [reference.text for reference in self.references]
            if text not in known:
                known.append(text)
                self.references.append(parse_reference(text, {r.key for r in self.references}))
            numbers.append(known.index(text) + 1)
        return f" [{', '.join(str(number) for number in sorted(set(numbers)))}]" if numbers else ""

    @property
    def bibtex(self) -> str:
        """The content of `references.bib`."""
        return "\n".join(reference.bibtex for reference in self.references)


def parse_reference(text: str, taken: Iterable[str] = ()) -> Reference:
    """Make a reference of its citation in one line.

    Args:
        text: such as "Ma, He. Segment anything. Nature 15, 654 (2024). doi 10.1/2".
        taken: keys that other references have.
    """
    parts = PATTERN.fullmatch(text)
    if parts is None:
        return Reference(_free_key(_key(text.split()[0], text), taken), text, (("note", text),))
    authors = re.split(r", | and ", parts["authors"].removesuffix(" et al"))
    others = ["others"] if parts["authors"].endswith(" et al") else []
    fields = {
        "author": " and ".join([*authors, *others]), "title": parts["title"],
        "howpublished": parts["where"],
        "year": parts["year"], "doi": parts["doi"] or "",
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


def _escape(value: str) -> str:
    value = re.sub(r"[\r\n]+", " ", value).replace("\\", r"\textbackslash ")
    return re.sub(r"([&%$#_{}])", r"\\\1", value).replace("^", r"\^{}").replace("~", r"\~{}")
