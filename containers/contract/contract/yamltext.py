"""From a YAML file to plain values, whatever is in it: bounded time and memory, and one line for each problem.

    file ──► text ──► nodes ──► values        (nodes keep what stands in the file, and on which line)

Values are those of PyYAML's safe loader, with these differences: `1e-3` is a number; what people mean otherwise than
YAML reads it (`0014`, a date, `12:30`) is `Unclear`, which no key takes; tags are
refused, but those of plain values.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from contract.errors import UsageError
from contract.yamlnodes import CORE, UNPRINTABLE, place, read_nodes, show_text

MOST_DIGITS = 30
MOST_SHOWN = 20
"""Problems that one message lists."""

_MERGE = f"{CORE}merge"
_BOOLEANS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


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
    root = read_nodes(path)
    builder = _Builder()
    content = builder.build(root) if root is not None else None
    if builder.problems:
        raise UsageError(list_problems(str(path), list(dict.fromkeys(builder.problems))))
    return Document(content, root, builder.values)


def is_key(key: object, part: object) -> bool:
    """Whether a validator that names a key as a number or text means this one."""
    return key == part or str(key) == str(part)


def list_problems(where: str, problems: Sequence[str], further: int = 0) -> str:
    """One message, a line for each problem; neither long lines nor many lines are printed whole.

    Args:
        where: opens the message.
        problems: a line each.
        further: how many there are beside these.
    """
    shown = [problem if len(problem) <= 600 else f"{problem[:599]}…" for problem in problems[:MOST_SHOWN]]
    count = len(problems) + further
    more = count - len(shown)
    head = f"{where}: {count} problem{'s' * (count != 1)}"
    return "\n  ".join([head, *shown, *([f"… and {more} more"] if more else [])])


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
            if isinstance(node, yaml.MappingNode) and node.tag == f"{CORE}map":
                self.values[node] = self._mapping(node)
            elif isinstance(node, yaml.SequenceNode) and node.tag == f"{CORE}seq":
                self.values[node] = [self.build(item) for item in node.value]
            elif isinstance(node, yaml.ScalarNode):
                self.values[node] = self._scalar(node)
            else:
                self._refuse_tag(node)
                self.values[node] = None
        return self.values[node]

    def _problem(self, node: yaml.Node, text: str) -> None:
        self.problems.append(f"{place(node.start_mark)}: {text}")

    def _refuse_tag(self, node: yaml.Node) -> None:
        tag = show_text(node.tag.replace(CORE, "!!"))
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
        text, kind = node.value, node.tag.removeprefix(CORE)
        if found := UNPRINTABLE.search(text):
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
        self._problem(
            node, f"value must be {what}{limit}, but is {show_text(node.value, 40)!r}; quote it if it is text"
        )


def _integer(text: str, written: str) -> int | Unclear:
    if ":" in text:
        return Unclear(written, "a number in base 60", "write a plain number")
    if len(text) > MOST_DIGITS + 4:
        raise ValueError(text)
    digits = text.lstrip("+-")
    if digits.startswith("0") and digits.isdecimal() and digits != "0":
        return Unclear(written, f"the octal number {int(text, 8)}", "write a number without zeros before it")
    return int(text, 0)


def _boolean(text: str, _: str) -> bool:
    return _BOOLEANS[text]


def _float(text: str, written: str) -> float | Unclear:
    if ":" in text:
        return Unclear(written, "a number in base 60", "write a plain number")
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_PLAIN = {"int": _integer, "float": _float, "bool": _boolean}
