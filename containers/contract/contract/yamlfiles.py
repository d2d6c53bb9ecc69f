"""Reading YAML files that people write; one message says everything that is wrong with a file.

study.yaml: 2 problems
  generatorz: unknown key; did you mean `generators`? (line 3)
  train.epochs: must be greater than or equal to 1, but it is -5 (int) (line 7)
"""

import difflib
import inspect
import json
import re
import reprlib
import typing
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from contract.errors import UsageError
from contract.yamlnodes import show_text
from contract.yamltext import Document, Unclear, is_key, list_problems, read_document


class Strict(BaseModel):
    """Base of every file's model: unknown keys are refused, values are never converted from another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


MOST_LOCATED = 100
"""Errors of a file that are looked up in it; of more, the number is told."""
MOST_NAMES = 20
"""Valid names that a message lists; of more, the number is told."""
Described = TypeVar("Described", bound=BaseModel)
Item = TypeVar("Item")

Items = Annotated[tuple[Item, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]
"""A YAML list in a frozen model."""


def _check_line(text: str) -> str:
    if not text.strip() or text != text.strip() or "\n" in text or "\t" in text or len(text) > 200:
        raise ValueError(
            "must be a text on one line, of 1 to 200 characters, without blanks around it, but it is "
            f"{show_text(text)!r}"
        )
    return text


Line = Annotated[str, AfterValidator(_check_line)]
"""A name or a path: on one line, not empty."""


def load(path: Path, model: type[Described]) -> Described:
    """Read a YAML file into its model.

    Args:
        path: the file.
        model: the pydantic model that says what may be in it.

    Raises:
        UsageError: missing, not YAML, or any key or value that the model refuses; all of them in one message.
    """
    document = read_document(path)
    if not isinstance(document.content, dict):
        came = "is empty" if document.root is None else f"holds {_show_value(document.content)}"
        raise UsageError(f"{path}: file must hold keys and values, but it {came}")
    return _validate(str(path), document, model)


def read(path: Path) -> object:
    """Parse a YAML file.

    Raises:
        UsageError: missing or not YAML, with the line.
    """
    return read_document(path).content


def parse(where: str, content: dict[Any, Any], model: type[Described]) -> Described:
    """Check plain values against a model; `where` opens the message.

    Raises:
        UsageError: everything that is wrong, one line each.
    """
    return _validate(where, Document(content, None, {}), model)


def as_scalar(text: str) -> str:
    """Text as it must be written in YAML: in quotes where it would be read as a number, a date or more than text."""
    with suppress(yaml.YAMLError, ValueError):
        is_number = re.match(r"[+-]?\.?[0-9]", text) and not re.search(r"[g-zG-Z_/-]", text)
        if re.fullmatch(r"[\w./~-]+", text) and yaml.safe_load(text) == text and not is_number:
            return text
    return json.dumps(text, ensure_ascii=False)


def did_you_mean(name: str, valid: typing.Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest valid one, or all of them; of many, the nearest."""
    names = sorted(valid)
    near = difflib.get_close_matches(name[:200], names, n=1, cutoff=0.5)
    if near:
        return f"did you mean `{near[0]}`?"
    if len(names) > MOST_NAMES:
        nearest = difflib.get_close_matches(name[:200], names, n=MOST_NAMES, cutoff=0)
        return f"valid: {', '.join(nearest)}, and {len(names) - len(nearest)} more"
    return f"valid: {', '.join(names)}" if names else "there is none"


@dataclass(frozen=True, slots=True)
class _Problem:
    """A problem as pydantic found it, and where that is in the file.

    Attributes:
        error: pydantic's.
        path: keys and indices that the user wrote, and a missing key.
        union: how many of them lead to a union, one of whose types it is about; None where it is about no union.
        about_key: whether it is about the last key itself, not about its value.
        node: of the file; None where there is none.
        key_node: of the last key.
    """

    error: ErrorDetails
    path: tuple[int | str, ...]
    union: int | None
    about_key: bool
    node: yaml.Node | None
    key_node: yaml.Node | None

    @property
    def is_mismatch(self) -> bool:
        """Whether the value has another type, or is none of the words."""
        return self.error["type"].endswith("_type") or self.error["type"] in {"literal_error", "int_from_float"}


def _validate(where: str, document: Document, model: type[Described]) -> Described:
    try:
        return model.model_validate(document.content)
    except ValidationError as error:
        found = error.errors(include_url=False)
    found = [problem for problem in found if not _follows(problem)]
    problems = [_locate(problem, document) for problem in found[:MOST_LOCATED]]
    lines: dict[str, None] = {}
    for group in _group(problems):
        lines[_describe(group, document, model)] = None
    raise UsageError(list_problems(where, list(lines), len(found) - len(problems)))


def _follows(error: ErrorDetails) -> bool:
    """Whether an error is only that entries with errors of their own don't count."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _locate(error: ErrorDetails, document: Document) -> _Problem:
    """Tell what the user wrote in pydantic's location from what pydantic put there: the names of types in a union."""
    path: list[int | str] = []
    union, about_key, content = None, False, document.content
    node, key_node = document.root, document.root
    for index, part in enumerate(error["loc"]):
        is_last = index == len(error["loc"]) - 1
        step = document.step(node, part)
        child = _child(content, part)
        if child:
            content = child[0]
            key_node, node = step or (None, None)
            if isinstance(key_node, yaml.ScalarNode) and key_node is not node:
                part = key_node.value  # as it stands in the file
        elif part == "[key]" and is_last:
            about_key = True
            continue
        elif not (is_last and error["type"] == "missing"):
            union = len(path) if union is None else union
            continue
        path.append(part)
    return _Problem(error, tuple(path), union, about_key, node, key_node)


def _child(content: object, part: int | str) -> tuple[object] | None:
    """What lies below a key or an index, in a tuple; None where there is nothing."""
    if isinstance(content, dict):
        if part in content:
            return (content[part],)
        return next(((value,) for key, value in content.items() if is_key(key, part)), None)
    if isinstance(content, list | tuple) and isinstance(part, int) and 0 <= part < len(content):
        return (content[part],)
    return None


def _group(problems: Sequence[_Problem]) -> list[list[_Problem]]:
    """One group for each thing that is wrong: of a value that may have several types, the types that it might have."""
    groups: dict[object, list[_Problem]] = {}
    for index, problem in enumerate(problems):
        key = index if problem.union is None else problem.path[: problem.union]
        groups.setdefault(key, []).append(problem)
    chosen: list[list[_Problem]] = []
    for group in groups.values():
        deeper = [problem for problem in group if problem.union is not None and len(problem.path) > problem.union]
        by_path: dict[object, list[_Problem]] = {}
        for problem in deeper or group:
            by_path.setdefault(problem.path, []).append(problem)
        for same in by_path.values():
            chosen += [[problem] for problem in same if not problem.is_mismatch] or [same]
    return chosen


def _describe(group: list[_Problem], document: Document, model: type[BaseModel]) -> str:
    """One line: `key: what must hold, but what came; what to do`."""
    problem, error = group[0], group[0].error
    key = ".".join(show_text(str(part)) for part in problem.path) or "file"
    node = problem.key_node if problem.about_key or error["type"] == "extra_forbidden" else problem.node
    line = f" (line {node.start_mark.line + 1})" if node is not None else ""
    match error["type"]:
        case "extra_forbidden":
            fields = _fields_at(model, list(problem.path[:-1]))
            return f"{key}: unknown key; {did_you_mean(str(problem.path[-1]), fields)}{line}"
        case "missing":
            return f"{key}: must be given, but is missing{line}"
        case "value_error":
            return f"{key}: {str(error['msg']).removeprefix('Value error, ')}{line}"
        case _:
            rules = list(dict.fromkeys(_rule(one.error) for one in group))
            others = [other.removeprefix("must be ") for other in rules[1:]]
            rule = " or ".join([", ".join([rules[0], *others[:-1]]), *others[-1:]])
            return f"{key}: {rule}, but {_what_came(problem, rules, document)}{line}"


def _rule(error: ErrorDetails) -> str:
    """What must hold."""
    match error["type"]:
        case "tuple_type" | "list_type":
            return "must be a list such as [a, b]"
        case "dict_type" | "model_type":
            return "must be keys and values"
        case "too_short" | "too_long":
            return error["msg"].replace("Tuple", "List").partition(" after validation")[0]
        case _:
            return error["msg"].replace("Input should be", "must be")


def _what_came(problem: _Problem, rules: Sequence[str], document: Document) -> str:
    """What stands in the file, and what YAML reads it as where that differs."""
    node = problem.key_node if problem.about_key else problem.node
    value = document.value(node) if isinstance(node, yaml.ScalarNode) else problem.error["input"]
    takes_text = any("string" in rule for rule in rules)
    text = show_text(node.value) if isinstance(node, yaml.ScalarNode) else ""
    quote = f"quote it: '{text}'"
    if isinstance(value, Unclear):
        cures = [*([quote] if takes_text else []), *([] if rules == ["must be a valid string"] else [value.cure])]
        return f"YAML reads {show_text(value.text)} as {value.meaning}; {', or '.join(cures)}"
    if value is None:
        return f"it is empty; {quote}" if text and takes_text else "it is empty"
    if takes_text and text and isinstance(value, bool | int | float):
        meaning = str(value).lower() if isinstance(value, bool) else "a number"
        return f"YAML reads {text} as {meaning}; {quote}"
    if isinstance(value, str) and problem.is_mismatch and any(" integer" in r or " number" in r for r in rules):
        hint = "; leave out the quotes" if _is_number(value) else ""
        return f"it is {_show_value(value)}{hint}"
    return f"it is {_show_value(value)}"


def _is_number(text: str) -> bool:
    return bool(text.strip()) and text.strip().lstrip("+-").replace(".", "", 1).isdigit()


def _fields_at(model: type[BaseModel], path: list[int | str]) -> set[str]:
    """Names that are valid below a path of keys; all models that occur there are taken together."""
    models: list[type[BaseModel]] = [model]
    for part in path:
        annotations = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        models = [inner for annotation in annotations for inner in _models_in(annotation)] if annotations else models
    return {name for m in models for name in m.model_fields}


def _models_in(annotation: object) -> list[type[BaseModel]]:
    """The models inside an annotation such as `list[A | B]`."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _models_in(argument)]


def _show_value(value: object) -> str:
    """A value, shortened, and its type; bounded, whatever it holds."""
    text = show_text(_SHORT.repr(value), 80)
    return f"{text} ({type(value).__name__})"


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 80, 80, 60
