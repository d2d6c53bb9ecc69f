"""From a YAML file to PyYAML's nodes, in bounded time and memory; a node knows where it stands in the file."""

import re
import stat
from pathlib import Path

import yaml

from contract.casefiles import name_kind
from contract.errors import UsageError

MOST_BYTES = 400_000
MOST_VALUES = 20_000
"""Values of a file, what aliases stand for included."""
MOST_DEPTH = 24
CORE = "tag:yaml.org,2002:"
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CURES = {
    "mapping values are not allowed": "quote a text that holds `: `, or indent the line as its neighbours",
    "'\\t'": "indent with blanks, not with tabs",
    "cannot start any token": "quote a text that begins with it",
    "unknown escape": "put a text with backslashes between single quotes",
    "undefined alias": "quote a text that begins with *",
    "could not find expected ':'": "close the quote or bracket above, or write `key: value`",
    "single document": "leave out the second `---`",
    "<block end>": "indent keys of one section alike, and close quotes and brackets",
    "expected ',' or": "close the bracket, and put a comma between entries",
    "special characters": "save the file as plain UTF-8 text",
}


def read_nodes(path: Path) -> yaml.Node | None:
    """Read the file's one document; None where it is empty.

    Raises:
        UsageError: missing, no ordinary file, too large, not UTF-8 or not YAML; with the place.
    """
    text = _read_text(path)
    try:
        root: yaml.Node | None = _Loader(text).get_single_node()
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: file must be YAML, but {_describe_error(error)}") from None
    return root


def show_text(text: str, most: int = 60) -> str:
    """A text on one line, shortened."""
    text = UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text[: most + 1]).replace("\n", " ").replace("\t", " ")
    return text if len(text) <= most else f"{text[:most]}…"


def place(mark: yaml.Mark) -> str:
    """Where in the file something stands."""
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _read_text(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(
                f"{path}: must be a file, but is {name_kind(status.st_mode)}; give the path of a YAML file"
            )
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: file must be readable, but: {error.strerror}") from None
    except ValueError as error:  # a path with a NUL
        raise UsageError(f"{show_text(str(path))}: file must be readable, but: {error}") from None
    if len(content) > MOST_BYTES:
        raise UsageError(
            f"{path}: file must have at most {MOST_BYTES:,} bytes, but has {max(status.st_size, len(content)):,}; "
            "is it the right file?"
        )
    return _decode(path, content)


def _decode(path: Path, content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(f"{path}: file must be UTF-8 text, but is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{path}: file must be UTF-8 text, but line {line} holds the byte {content[error.start]:#04x}; "
            "save it as UTF-8"
        ) from None


class _Loader(yaml.SafeLoader):
    """Makes nodes of a text; it never makes objects.

    Depth and number of values are bounded while it reads, so that neither nesting nor aliases cost more than the file.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._count = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Make one node and all below it."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            anchored = self.anchors.get(event.anchor or "")
            if anchored is not None and anchored not in self._sizes:
                raise _mark(
                    f"the anchor {show_text(event.anchor or '')!r} stands for something that holds itself", event
                )
            self._add(self._sizes[anchored] if anchored else 1, event)
            return super().compose_node(parent, index)
        before = self._count
        self._add(1, event)
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise _mark(f"values are nested more than {MOST_DEPTH} deep", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None:
            self._sizes[node] = self._count - before
        return node

    def _add(self, values: int, event: yaml.Event) -> None:
        self._count += values
        if self._count > MOST_VALUES:
            raise _mark(f"it holds more than {MOST_VALUES:,} values, what aliases (*) stand for included", event)


_Loader.add_implicit_resolver(
    f"{CORE}float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def _mark(problem: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type]


def _describe_error(error: yaml.YAMLError) -> str:
    """PyYAML's error on one line, with its place and what helps."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = f"{place(mark)}: " if mark else ""
        problem = ", ".join(part for part in (error.context, error.problem) if part)
    elif isinstance(error, yaml.reader.ReaderError):
        where, problem = "", f"it holds the character U+{int(error.character):04X}: {error.reason}"
    else:
        where, problem = "", str(error)
    cure = next((cure for sign, cure in _CURES.items() if sign in problem), "")
    return f"{where}{show_text(problem, 300)}{f'; {cure}' if cure else ''}"
