"""The command line of every tool, made from its manifest; every option can be an environment variable too.

<tool> --dataset NAME [--variant V] [--step S] [--cases A,B,… | --shard I/N] [--device auto|cpu|cuda[:I]]
       [--threads N] [--label-version NAME] [--overwrite] [tool options]
<tool> describe
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.casefiles import describe_kind
from contract.errors import UsageError
from contract.manifest import Manifest, Option, OptionValue
from contract.yamlnodes import show_text

MOST_THREADS = 1024

LABEL_VERSION = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
CASES_HELP = (
    "only these cases; a name with a comma or with a blank at an end, and a first name that begins with @, can't be "
    "given so. @FILE reads a file below --inputs that has one name a line, and any name can stand there"
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a tool was asked to do.

    Attributes:
        dataset: name of a folder below `data`.
        variant: of the manifest.
        step: of the manifest; None where a tool has no steps, or all are to be done.
        cases: names, None for all.
        shard: (index from 1, count) of the sorted cases.
        device: auto, cpu, cuda or cuda:I.
        threads: CPU threads, part of a result's fingerprint.
        label_version: the name under which results are written below `out/<dataset>`.
        overwrite: redo what is done.
        options: the tool's own.
        data: folder of dataset folders.
        out: folder for results.
        weights: folder of `<tool>/<file>`.
        inputs: folder of the results of earlier steps.
    """

    dataset: str
    variant: str
    step: str | None
    cases: tuple[str, ...] | None
    shard: tuple[int, int] | None
    device: str
    threads: int
    label_version: str
    overwrite: bool
    options: Mapping[str, OptionValue]
    data: Path
    out: Path
    weights: Path
    inputs: Path


def parse(manifest: Manifest, argv: Sequence[str], environment: Mapping[str, str]) -> Arguments | None:
    """Read a tool's command line and environment.

    Args:
        manifest: the tool's.
        argv: the arguments after the program's name.
        environment: TOOL_<OPTION> variables count where an option is not on the command line.

    Returns:
        The arguments; None for `describe`.

    Raises:
        UsageError: any mistake in them.
    """
    parser = _make_parser(manifest)
    values = vars(parser.parse_args(_arguments_of_environment(parser, environment) + list(argv)))
    if values["command"] == "describe":
        return None
    if not values["dataset"]:
        raise UsageError("--dataset NAME must be given (or TOOL_DATASET)")
    if manifest.steps and not values["step"] and not manifest.is_self_contained:
        raise UsageError(f"--step must be given: one of {', '.join(manifest.steps)}")
    if values["cases"] and values["shard"]:
        raise UsageError("--cases and --shard exclude each other: give one of them")
    try:
        options = manifest.complete_options(
            {k: v for k in manifest.options if (v := values[_destination(k)]) is not None}
        )
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    variant = values["variant"]
    label_version = values["label_version"] or f"{manifest.name}-{variant}"
    if not re.fullmatch(LABEL_VERSION, label_version):
        raise UsageError(
            f"--label-version: must be letters, digits, dots, dashes and underscores and begin with a letter or digit, "
            f"since it names a folder, but it is {label_version!r}"
        )
    return Arguments(
        dataset=values["dataset"], variant=variant, step=values["step"], shard=_parse_shard(values["shard"]),
        cases=_parse_cases(values["cases"], values["inputs"]), device=_check_device(values["device"]),
        threads=_check_threads(values["threads"]), label_version=label_version,
        overwrite=values["overwrite"], options=options, data=values["data"], out=values["out"],
        weights=values["weights"], inputs=values["inputs"],
    )  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """Raises instead of leaving the program."""

    def error(self, message: str) -> Any:  # noqa: ANN401 - argparse's signature is NoReturn
        raise UsageError(f"{message}; see --help")


def _make_parser(manifest: Manifest) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=manifest.name, description=manifest.summary, allow_abbrev=False,
        epilog="Every option can be given as an environment variable: --box-margin as TOOL_BOX_MARGIN.",
    )  # fmt: skip
    add = parser.add_argument
    add("command", nargs="?", choices=["run", "describe"], default="run", help="describe: print the manifest as JSON")
    add("--dataset", metavar="NAME", help="a folder below /data")
    add("--variant", choices=list(manifest.variants), default=manifest.default_variant, help="default: %(default)s")
    if manifest.steps:
        add(
            "--step",
            choices=list(manifest.steps),
            help=("default: all, in order. " if manifest.is_self_contained else "")
            + "; ".join(f"{k}: {s.summary}" for k, s in manifest.steps.items()),
        )
    else:
        parser.set_defaults(step=None)
    add("--cases", metavar="A,B,…", help=CASES_HELP)
    add("--shard", metavar="I/N", help="the I-th of N parts of the cases, from 1")
    add("--device", default="auto", metavar="auto|cpu|cuda[:I]", help="default: %(default)s")
    add("--threads", type=int, default=manifest.resources.cpus, metavar="N", help="CPU threads; default: %(default)s")
    add("--label-version", metavar="NAME", help=f"name of the results; default: {manifest.name}-VARIANT")
    add("--overwrite", action="store_true", help="redo cases that are done")
    add("--data", type=Path, default=Path("/data"), metavar="DIR", help="datasets; default: %(default)s")
    add("--out", type=Path, default=Path("/out"), metavar="DIR", help="results; default: %(default)s")
    add("--weights", type=Path, default=Path("/weights"), metavar="DIR", help="weights; default: %(default)s")
    add(
        "--inputs", type=Path, default=Path("/in"), metavar="DIR", help="results of earlier steps; default: %(default)s"
    )
    group = parser.add_argument_group("options of this tool")
    for name, option in manifest.options.items():
        _add_option(group, name, option)
    return parser


def _add_option(group: "argparse._ArgumentGroup", name: str, option: Option) -> None:
    """Add a manifest's option; None stands for not given."""
    text = f"{option.help} (default: {option.default})".replace("%", "%%")
    if option.type == "bool":
        group.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=text)
        return
    kind = {"int": int, "float": float, "str": str}[option.type]
    group.add_argument(f"--{name}", type=kind, choices=option.choices or None, default=None, help=text,
                       metavar=None if option.choices else option.type.upper())  # fmt: skip


def _arguments_of_environment(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> list[str]:
    """Turn TOOL_* variables into arguments that stand before those of the command line."""
    arguments: list[str] = []
    for action in parser._actions:
        if not action.option_strings or action.dest == "help":
            continue
        value = environment.get(f"TOOL_{action.dest.upper()}")
        if value is None or value == "":
            continue
        if action.nargs == 0:
            is_on = value.lower() in {"1", "true", "yes"}
            flags = action.option_strings
            arguments += [flags[0]] if is_on else flags[1:2]
        else:
            arguments += [f"{action.option_strings[0]}={value}"]
    return arguments


def _destination(option: str) -> str:
    return option.replace("-", "_")


def _parse_cases(text: str | None, inputs: Path) -> tuple[str, ...] | None:
    """Names of cases: from a file one a line, with all blanks that they have; else between commas."""
    if not text:
        return None
    if text.startswith("@"):
        file = inputs / text[1:]
        if problem := describe_kind(file):
            raise UsageError(f"--cases: {file} must be readable, but: {problem}")
        try:
            names = [line.rstrip("\r") for line in file.read_bytes().decode().split("\n")]
        except OSError as error:
            raise UsageError(f"--cases: {file} must be readable, but: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise UsageError(f"--cases: {file} must be UTF-8, but: {error}") from None
    else:
        names = [name.strip() for name in text.split(",")]
    return tuple(dict.fromkeys(name for name in names if name.strip()))


def _parse_shard(text: str | None) -> tuple[int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard must be I/N with 1 <= I <= N, but it is {show_text(text)!r}")
    return int(match[1]), int(match[2])


def _check_device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,4})?", text):
        raise UsageError(f"--device must be auto, cpu, cuda or cuda:I, but it is {show_text(text)!r}")
    return text


def _check_threads(threads: int) -> int:
    if not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"--threads must be a number of 1 to {MOST_THREADS}, but it is {threads}")
    return threads
