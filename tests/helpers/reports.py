"""Reports of run folders, and what a reader sees of them."""

import re
from pathlib import Path

from coordinator.report import write_report


def make_report(run: Path, name: str = "report") -> Path:
    """Write the report of a run into a folder beside it; returns that folder."""
    out = run.parent / name
    out.mkdir()
    write_report(run, out)
    return out


def visible_text(page: Path) -> str:
    """The words of a page as a reader sees them: no tags, one space between words."""
    html = page.read_text(encoding="utf-8")
    body = re.sub(r"<(style|svg|script).*?</\1>", " ", html[html.index("<body>") :], flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def has_nan(out: Path) -> bool:
    """Whether a report shows a number that is none."""
    html = re.sub(r"base64,[^\"]*", "", (out / "index.html").read_text(encoding="utf-8"))
    return re.search(r"\b(nan|NaN|None|inf)\b", re.sub(r"<script>.*</script>", "", html, flags=re.DOTALL)) is not None
