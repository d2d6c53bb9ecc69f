"""Reading YAML files that people write; one message says everything that is wrong with a file.

study.yaml: 2 problems
  generatorz: unknown key; did you mean `generators`?
  train.epochs: must be greater than 0, but it is -5
"""

import difflib
import inspect
import json
import re
import typing
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from contract.errors import UsageError


class Strict(BaseModel):
    """Base of every file's model: unknown keys are refused, values are never converted from another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Described = TypeVar("Described", bound=BaseModel)
Item = TypeVar("Item")

Items = Annotated[tuple[Item, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]
"""A YAML list in a frozen model."""


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a mapping may name a key only once; PyYAML itself keeps the last one in silence."""


def _construct_mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    repeated = sorted({str(key) for key in keys if keys.count(key) > 1})
    if repeated:
        raise UsageError(f"line {node.start_mark.line + 1}: keys must be unique, but {', '.join(repeated)} came twice")
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def load(path: Path, model: type[Described]) -> Described:
    """Read a YAML file into its model.

    Args:
        path: the file.
        model: the pydantic model that says what may be in it.

    Raises:
        UsageError: missing, not YAML, or any key or value that the model refuses; all of them in one message.
    """
    content = read(path)
    if not isinstance(content, dict):
        raise UsageError(f"{path}: file must hold keys and values, but it holds {_show_value(content)}")
    return parse(str(path), content, model)


def read(path: Path) -> object:
    """Parse a YAML file.

    Raises:
        UsageError: missing or not YAML, with the line.
    """
    try:
        # A subclass of SafeLoader: no arbitrary objects.
        return yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: file must be readable, but: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: file must be YAML, but: {error}") from None


def parse(where: str, content: dict[Any, Any], model: type[Described]) -> Described:
    """Check plain values against a model; `where` opens the message.

    Raises:
        UsageError: everything that is wrong, one line each.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [_describe_problem(problem, model) for problem in error.errors(include_url=False)]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise UsageError("\n  ".join([f"{where}: {count}", *dict.fromkeys(problems)])) from None


def as_scalar(text: str) -> str:
    """Text as it must be written in YAML: in quotes where it would be read as a number, a date or more than text."""
    with suppress(yaml.YAMLError, ValueError):
        if re.fullmatch(r"[\w./~-]+", text) and yaml.safe_load(text) == text:
            return text
    return json.dumps(text, ensure_ascii=False)


def did_you_mean(name: str, valid: typing.Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest valid one, or all of them."""
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"valid: {', '.join(names)}" if names else "there is none"


def _describe_problem(problem: ErrorDetails, model: type[BaseModel]) -> str:
    """One problem as `key: what is wrong`."""
    path = [part for part in problem["loc"] if not _is_internal(part)]
    key = ".".join(str(part) for part in path) or "file"
    match problem["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key; {did_you_mean(str(path[-1]), _fields_at(model, path[:-1]))}"
        case "missing":
            return f"{key}: must be given, but is missing"
        case "value_error":
            return f"{key}: {str(problem['msg']).removeprefix('Value error, ')}"
        case _:
            rule = problem["msg"].replace("Input should be", "must be")
            return f"{key}: {rule}, but it is {_show_value(problem['input'])}"


def _is_internal(part: object) -> bool:
    """Whether pydantic put a part into a location that the user never wrote: the name of a type in a union."""
    return isinstance(part, str) and (part[:1].isupper() or "[" in part or part in {"str", "int", "float", "bool"})


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
    """A value as the user wrote it, shortened."""
    text = repr(value)
    return f"{text[:77]}… ({type(value).__name__})" if len(text) > 80 else f"{text} ({type(value).__name__})"
