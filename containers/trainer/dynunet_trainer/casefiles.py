"""Files that are made case by case in a store: what is there is kept, and a case that fails does not stop the others.

Beside the files of a case lies a hidden one that says what they were made from: a run that was killed goes on with the
next case, and a case whose input has changed is made again.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract import Context, atomic, records
from contract.casefiles import reading
from contract.errors import CaseError


def make_cases(
    context: Context,
    cases: Sequence[str],
    patterns: Sequence[Path],
    describe_source: Callable[[str], object],
    make: Callable[[str], None],
) -> dict[str, CaseError]:
    """Make the files of each case, unless they are there and were made from the same source.

    Args:
        context: of the run.
        cases: their names.
        patterns: files of a case, with {} for its name.
        describe_source: all that the files of a case depend on, as plain data.
        make: writes the files of a case.

    Returns:
        Case -> why it could not be made; whatever goes wrong with a case is its own failure.

    Raises:
        OSError: a file could not be written.
    """
    problems: dict[str, CaseError] = {}
    context.progress.begin(len(cases), str(context.arguments.step))
    for name in cases:
        try:
            outcome = _make_case(context, name, patterns, describe_source, make)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - such as memory that one case alone asks for
            problems[name] = _describe(name, error)
            outcome = str(problems[name])
        context.progress.advance(name, outcome, failed=outcome not in {"done", "already done"})
    return problems


def raise_problems(problems: Mapping[str, CaseError]) -> None:
    """Raise one error that lists the problems of all cases, if there are any."""
    if problems:
        raise CaseError("\n".join([f"{len(problems)} cases cannot be used", *map(str, problems.values())]))


def _describe(name: str, error: Exception) -> CaseError:
    if isinstance(error, CaseError):
        return error
    problem = CaseError(
        f"{name}: case must be one that can be resampled, but that ended in {type(error).__name__}: {error}; "
        "exclude it under `exclude:` in dataset.yaml"
    )
    problem.__cause__ = error
    return problem


def file_digest(path: Path) -> str:
    """sha256 of a case's file, hex.

    Raises:
        CaseError: it cannot be read.
    """
    with reading(path):
        return records.file_sha256(path)


def remove_other_cases(folder: Path, cases: Sequence[str] | Mapping[str, object]) -> None:
    """Remove arrays of cases that an earlier run had and this one does not."""
    for file in [*folder.glob("*.npy"), *folder.glob("*.b2nd")]:
        if file.stem not in cases:
            file.unlink()


def write_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write a .npy file in one step."""
    with atomic.part_file(path) as part, part.open("wb") as stream:
        # `np.save` does not tell a full disk from other errors.
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
        stream.write(np.ascontiguousarray(array).tobytes())


def _make_case(
    context: Context,
    name: str,
    patterns: Sequence[Path],
    describe_source: Callable[[str], object],
    make: Callable[[str], None],
) -> str:
    digest = records.digest([context.manifest.version, describe_source(name)])
    mark = patterns[0].with_name(f".{name}.made-from")
    files = [pattern.with_name(pattern.name.format(name)) for pattern in patterns]
    is_complete = (
        mark.is_file() and mark.read_text(encoding="utf-8") == digest and all(file.is_file() for file in files)
    )
    if is_complete and not context.arguments.overwrite:
        return "already done"
    # The mark is removed first and written last: whenever this stops, a mark lies only beside the files it describes.
    for path in (mark, *files):
        path.unlink(missing_ok=True)
    make(name)
    atomic.write_text(mark, digest)
    return "done"
