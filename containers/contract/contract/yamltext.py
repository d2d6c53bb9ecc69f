"""From a YAML file to plain values, whatever is in it: bounded time and memory, and one line for each problem.

    file ──► text ──► nodes ──► values        (nodes keep what stands in the file, and on which line)

Values are those of PyYAML's safe loader, with these differences: `1e-3` is a number; what people mean otherwise than
YAML reads it (`0014`, a date, `12:30`) is `Unclear` and nobody's value; tags other than those of plain values are refused.
"""

import re
import stat
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from contract.errors import UsageError

MOST_BYTES = 1_000_000
MOST_VALUES = 40_000
"""Values of a file, what aliases stand for included."""
MOST_DEPTH = 24
MOST_DIGITS = 30
MOST_SHOWN = 20
"""Problems that one message lists."""

_CORE = "tag:yaml.org,2002:"
_MERGE = f"{_CORE}merge"
_BOOLEANS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
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


@dataclass(frozen=True, slots=True)
class Unclear:
    """A value that YAML reads otherwise than most people mean it; no key takes it.

    Attributes:
        text: as it stands in the file.
        meaning: what YAML takes it for.
        cure: how a number is written instead.
    """

    text: str
    meaning: str
    cure: str

    def __repr__(self) -> str:
        return self.text


@dataclass(slots=True)
class Document:
    """A file's values, and where each of them stands.

    Attributes:
        content: plain values.
        root: the node that they were made from; None for an empty file.
    """

    content: object
    root: yaml.Node | None
    _values: dict[yaml.Node, object]

    def step(self, node: yaml.Node | None, part: object) -> tuple[yaml.Node, yaml.Node] | None:
        """The nodes of key and value that a key or an index leads to; None where there is none.

        Args:
            node: a mapping or list.
            part: key or index, as a validator names it.
        """
        if isinstance(node, yaml.SequenceNode):
            is_index = isinstance(part, int) and 0 <= part < len(node.value)
            return (node.value[part], node.value[part]) if is_index else None
        if isinstance(node, yaml.MappingNode):
            for key, value in _pairs(node):
                if key in self._values and is_key(self._values[key], part):
                    return key, value
        return None

    def value(self, node: yaml.Node) -> object:
        """The value that was made from a node."""
        return self._values.get(node)


def read_document(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        UsageError: missing, no ordinary file, too large, not UTF-8, not YAML, or values that can't be read; each
            problem with its line.
    """
    text = _read_text(path)
    try:
        root = _Loader(text).get_single_node()
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: file must be YAML, but {_describe_error(error)}") from None
    builder = _Builder()
    content = builder.build(root) if root is not None else None
    if builder.problems:
        raise UsageError(list_problems(str(path), list(dict.fromkeys(builder.problems))))
    return Document(content, root, builder.values)


def is_key(key: object, part: object) -> bool:
    """Whether a validator that names a key as a number or text means this one."""
    return key == part or str(key) == str(part)


def list_problems(where: str, problems: list[str]) -> str:
    """One message, a line for each problem; neither long lines nor many lines are printed whole."""
    shown = [problem if len(problem) <= 600 else f"{problem[:599]}…" for problem in problems[:MOST_SHOWN]]
    more = len(problems) - len(shown)
    head = f"{where}: {len(problems)} problem{'s' * (len(problems) != 1)}"
    return "\n  ".join([head, *shown, *([f"… and {more} more"] if more else [])])


def show_text(text: str, most: int = 60) -> str:
    """A text on one line, shortened."""
    text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text[: most + 1]).replace("\n", " ").replace("\t", " ")
    return text if len(text) <= most else f"{text[:most]}…"


def _read_text(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path}: must be a file, but is {_kind(status.st_mode)}; give the path of a YAML file")
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


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"


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
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            anchored = self.anchors.get(event.anchor)
            if anchored is not None and anchored not in self._sizes:
                raise _mark(f"the anchor {show_text(event.anchor)!r} stands for something that holds itself", event)
            self._add(self._sizes.get(anchored, 1), event)
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


_Loader.add_implicit_resolver(  # type: ignore[no-untyped-call]
    f"{_CORE}float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def _mark(problem: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _describe_error(error: yaml.YAMLError) -> str:
    """PyYAML's error on one line, with its place and what helps."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        place = f"{_place(mark)}: " if mark else ""
        problem = ", ".join(part for part in (error.context, error.problem) if part)
    elif isinstance(error, yaml.reader.ReaderError):
        place, problem = "", f"it holds the character U+{int(error.character):04X}: {error.reason}"
    else:
        place, problem = "", str(error)
    cure = next((cure for sign, cure in _CURES.items() if sign in problem), "")
    return f"{place}{show_text(problem, 300)}{f'; {cure}' if cure else ''}"


def _place(mark: yaml.Mark) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Keys and values of a mapping: its own, then those that it merges, first come first."""
    for key, value in node.value:
        if key.tag != _MERGE:
            yield key, value
    for key, value in node.value:
        if key.tag == _MERGE:
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(source, yaml.MappingNode):
                    yield from _pairs(source)


@dataclass(slots=True)
class _Builder:
    """Makes values of nodes, each node once."""

    values: dict[yaml.Node, object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def build(self, node: yaml.Node) -> object:
        if node not in self.values:
            if isinstance(node, yaml.MappingNode) and node.tag == f"{_CORE}map":
                self.values[node] = self._mapping(node)
            elif isinstance(node, yaml.SequenceNode) and node.tag == f"{_CORE}seq":
                self.values[node] = [self.build(item) for item in node.value]
            elif isinstance(node, yaml.ScalarNode):
                self.values[node] = self._scalar(node)
            else:
                self._refuse_tag(node)
                self.values[node] = None
        return self.values[node]

    def _problem(self, node: yaml.Node, text: str) -> None:
        self.problems.append(f"{_place(node.start_mark)}: {text}")

    def _refuse_tag(self, node: yaml.Node) -> None:
        tag = show_text(node.tag.replace(_CORE, "!!"))
        self._problem(node, f"values must be plain, but this one has the tag {tag}; leave it out, or quote the text")

    def _mapping(self, node: yaml.MappingNode) -> dict[object, object]:
        own: dict[object, object] = {}
        merged: list[dict[object, object]] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged += self._merged(value_node)
                continue
            key, value = self.build(key_node), self.build(value_node)
            if not isinstance(key_node, yaml.ScalarNode) or not isinstance(key, Hashable):
                self._problem(key_node, "keys must be names or numbers, but this one is a list or mapping; quote it")
            elif key in own:
                self._problem(key_node, f"keys must be unique, but {show_text(str(key))} came twice; keep one of them")
            else:
                own[key] = value
        content: dict[object, object] = {}
        for source in reversed(merged):
            content |= source
        return content | own

    def _merged(self, node: yaml.Node) -> list[dict[object, object]]:
        """What `<<` merges: a mapping, or a list of them."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        built = [self.build(source) for source in sources]
        for source, content in zip(sources, built, strict=True):
            if not isinstance(content, dict):
                self._problem(source, "`<<` must merge keys and values, such as *anchor, or a list of such")
        return [content for content in built if isinstance(content, dict)]

    def _scalar(self, node: yaml.ScalarNode) -> object:
        text, kind = node.value, node.tag.removeprefix(_CORE)
        if found := _UNPRINTABLE.search(text):
            self._problem(node, f"text must not hold control characters, but U+{ord(found[0]):04X} came; remove it")
            return None
        if kind in {"str", "value", "merge"} or node.tag == "!":
            return text
        if kind == "null":
            return None
        if kind == "timestamp" and node.style is None:
            return Unclear(text, "a date", "write a number")
        try:
            return _PLAIN[kind](text.lower().replace("_", ""), text)
        except KeyError:
            self._refuse_tag(node) if kind not in _PLAIN else self._refuse_value(node, kind)
        except ValueError:
            self._refuse_value(node, kind)
        return None

    def _refuse_value(self, node: yaml.ScalarNode, kind: str) -> None:
        what = {"int": "a whole number", "float": "a number", "bool": "true or false"}[kind]
        limit = f" of at most {MOST_DIGITS} digits" if len(node.value) > MOST_DIGITS else ""
        self._problem(node, f"value must be {what}{limit}, but is {show_text(node.value, 40)!r}; quote it if it is text")


def _integer(text: str, written: str) -> int | Unclear:
    if ":" in text:
        return Unclear(written, "a number in base 60", "write a plain number")
    if len(text) > MOST_DIGITS + 4:
        raise ValueError(text)
    digits = text.lstrip("+-")
    if digits.startswith("0") and digits.isdecimal() and digits != "0":
        return Unclear(written, f"the octal number {int(text, 8)}", "write a number without zeros before it")
    return int(text, 0)


def _float(text: str, written: str) -> float | Unclear:
    if ":" in text:
        return Unclear(written, "a number in base 60", "write a plain number")
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_PLAIN = {"int": _integer, "float": _float, "bool": lambda text, _: _BOOLEANS[text]}
