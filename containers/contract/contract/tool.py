"""The program around a tool: a tool's author writes a manifest and two functions.

    def load(context: Context) -> Model: ...                       once a run
    def segment(model: Model, case: Case) -> LabelMap: ...         once a case

    if __name__ == "__main__":
        raise SystemExit(run(__file__, Cases(load, segment)))

A tool of several steps gives a dictionary: step -> `Cases(load, segment)`, or `Job(work)` for work that is no list of
cases. Arguments, input checks, resume, atomic output, status, provenance, progress, SIGTERM and exit codes are done
here.
"""

import errno
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from contract import atomic, commandline, records
from contract.commandline import Arguments
from contract.datasets import SUFFIX, Dataset, open_dataset
from contract.errors import CaseError, ContractError, ExitCode, Stopped, UsageError
from contract.manifest import Manifest, OptionValue, load_manifest
from contract.progress import Progress
from contract.records import CaseStatus
from contract.volumes import LabelMap, Volume, read_image, read_labels, write_labels
from contract.weights import Checked, check_weights
from contract.yamlfiles import did_you_mean

Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class Context:
    """What a tool may know about its run.

    Attributes:
        manifest: the tool's.
        arguments: the command line.
        dataset: the dataset that is worked on.
        cases: the cases of this run, sorted.
        checked_weights: `file` of the manifest -> where it is, with its sha256.
        folder: where the results go: `out/<dataset>/<label version>`.
        progress: how a `Job` tells how far it is.
        earlier: step -> its results, where all steps are done in one run.
        facts: what the tool adds to `run.json`, such as the device that `auto` turned out to be.
    """

    manifest: Manifest
    arguments: Arguments
    dataset: Dataset
    cases: tuple[str, ...]
    checked_weights: Mapping[str, Checked]
    folder: Path
    progress: Progress
    earlier: Mapping[str, Path] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def options(self) -> Mapping[str, OptionValue]:
        """The tool's own options, with defaults filled in."""
        return self.arguments.options

    @property
    def threads(self) -> int:
        """CPU threads to use, exactly."""
        return self.arguments.threads

    @property
    def weights(self) -> Mapping[str, Path]:
        """`file` of the manifest -> path of weights whose sha256 is right."""
        return {file: checked.path for file, checked in self.checked_weights.items()}

    @property
    def reads(self) -> frozenset[str]:
        """What this run reads of the dataset: images, labels."""
        return self.manifest.reads(self.arguments.step)

    def input(self, name: str) -> Path:
        """Folder with the results of an earlier step.

        Raises:
            UsageError: it is not there.
        """
        folder = self._made_here(name) or self.arguments.inputs / name
        if not folder.is_dir():
            raise UsageError(f"{folder}: must hold the results of an earlier step, but does not exist; mount it there")
        return folder

    def optional_input(self, name: str) -> Path | None:
        """Folder of an optional input; None where it is not given."""
        folder = self.arguments.inputs / name
        return folder if folder.is_dir() else None

    def _made_here(self, name: str) -> Path | None:
        step = self.manifest.steps.get(self.arguments.step or "")
        return self.earlier.get(step.inputs.get(name, "")) if step else None


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One case as a tool sees it.

    Attributes:
        name: of the case.
        image: HU in RAS+.
        labels: (X, Y, Z) the dataset's labels on the image's voxels; None unless the tool, or this step, reads labels.
        organs: label id -> organ of the dataset.
    """

    name: str
    image: Volume
    labels: LabelMap | None
    organs: Mapping[int, str]

    def random(self, seed: int, *purpose: str) -> np.random.Generator:
        """Random numbers that depend on the seed, the case and the purpose alone, not on what ran before."""
        key = hashlib.sha256("\0".join([str(seed), self.name, *purpose]).encode()).digest()
        return np.random.Generator(np.random.Philox(key=np.frombuffer(key[:16], np.uint64)))


@dataclass(frozen=True, slots=True)
class Cases(Generic[Model]):
    """A step that makes a label map of each case.

    Attributes:
        load: makes the model, once a run, only when a case is to be done.
        segment: (model, case) -> (X, Y, Z) integer labels on the image's voxels.
    """

    load: Callable[[Context], Model]
    segment: Callable[[Model, Case], NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Job:
    """A step that is no list of cases, such as training. It resumes by itself; done, it is not done again.

    Attributes:
        work: does it, writing below `context.folder`. SIGTERM raises `Stopped` in it, wherever it is; should a library
            swallow that, the next `context.progress.advance` raises it again.
    """

    work: Callable[[Context], None]


def run(program: str, steps: "Steps") -> int:
    """Run a tool from its command line.

    Args:
        program: the tool's `__file__`; its manifest lies beside it.
        steps: what the tool does; a mapping where the manifest names steps.

    Returns:
        The exit code.
    """
    stopper = _Stopper()
    signal.signal(signal.SIGTERM, stopper)
    try:
        manifest = load_manifest(Path(program).resolve().parent)
        arguments = commandline.parse(manifest, sys.argv[1:], commandline.environment())
        if arguments is None:
            _say_manifest(manifest)
            return ExitCode.DONE
        if manifest.steps and arguments.step is None:
            return _run_all(manifest, arguments, steps, stopper)
        return _run_step(_context(manifest, arguments, stopper), steps)
    except UsageError as error:
        _say(f"error: {error}")
        return ExitCode.USAGE
    except ContractError as error:
        _say(f"error: {error}")
        return ExitCode.CONTRACT_BROKEN
    except CaseError as error:
        _say(f"error: {error}")
        return ExitCode.CASES_FAILED
    except Stopped:
        _say("stopped by SIGTERM; what is done is kept, and the next run goes on from here")
        return ExitCode.STOPPED
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        _say(f"error: {error.filename or 'results'}: {error.strerror}; free some space and run this again: it goes on")
        return ExitCode.USAGE


Steps = Cases[Any] | Mapping[str, Cases[Any] | Job]


def _run_all(manifest: Manifest, arguments: Arguments, steps: Steps, stopper: "_Stopper") -> int:
    """All steps in order; the last one's results are the label version, the others' are hidden beside it."""
    hidden = arguments.out / arguments.dataset / f".{arguments.label_version}"
    earlier: dict[str, Path] = {}
    code = int(ExitCode.DONE)
    for name in manifest.steps:
        last = name == list(manifest.steps)[-1]
        context = _context(manifest, replace(arguments, step=name), stopper, None if last else hidden / name)
        context = replace(context, earlier=dict(earlier))
        _say(f"step {name}: {manifest.steps[name].summary}")
        code = _run_step(context, steps)
        if code not in {ExitCode.DONE, ExitCode.CASES_FAILED}:
            break
        earlier[name] = context.folder
    return code


def _run_step(context: Context, steps: Steps) -> int:
    step = steps if isinstance(steps, Cases) else steps[context.arguments.step or ""]
    return _run_job(context, step) if isinstance(step, Job) else _run_cases(context, step)


@dataclass(slots=True)
class _Stopper:
    """On SIGTERM, unwinds the stack; and remembers it, for Python drops what is raised inside a `__del__`."""

    requested: bool = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        self.requested = True
        raise Stopped

    def check(self) -> None:
        """Unwind the stack if the signal came before and was dropped."""
        if self.requested:
            raise Stopped


def _say_manifest(manifest: Manifest) -> None:
    sys.stdout.write(json.dumps(manifest.model_dump(), indent=1, ensure_ascii=False) + "\n")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _context(manifest: Manifest, arguments: Arguments, stopper: "_Stopper", folder: Path | None = None) -> Context:
    """Check everything that can be checked before the first case."""
    dataset = open_dataset(arguments.data, arguments.dataset)
    if "labels" in manifest.reads(arguments.step) and not dataset.labels:
        raise UsageError(
            f"{dataset.folder}: {manifest.name} needs labels, but this dataset has none (`labels:` in dataset.yaml is "
            "empty); use a tool that works without, or add labels"
        )
    folder = folder or arguments.out / dataset.name / arguments.label_version
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "permission denied", str(folder))
    except OSError as error:
        raise UsageError(
            f"{arguments.out}: must be writable by uid {os.getuid()}, but: {error.strerror} ({error.filename}); "
            "give it to that user, or run as the folder's owner"
        ) from None
    os.environ.update({"OMP_NUM_THREADS": str(arguments.threads), "MKL_NUM_THREADS": str(arguments.threads)})
    return Context(
        manifest=manifest, arguments=arguments, dataset=dataset, cases=_chosen_cases(dataset, arguments),
        checked_weights=check_weights(manifest, arguments.variant, arguments.weights), folder=folder,
        progress=Progress(folder, stopper.check),
    )  # fmt: skip


def _chosen_cases(dataset: Dataset, arguments: Arguments) -> tuple[str, ...]:
    everything = dataset.cases()
    if arguments.shard:
        index, count = arguments.shard
        return tuple(everything[index - 1 :: count])
    if arguments.cases is None:
        return tuple(everything)
    unknown = [case for case in arguments.cases if case not in everything]
    if unknown:
        raise UsageError(
            f"--cases: {dataset.name} has no case {', '.join(map(repr, unknown))}; "
            f"{did_you_mean(unknown[0], everything)}"
        )
    return tuple(sorted(arguments.cases))


def _identity(context: Context) -> dict[str, object]:
    """What every result of a run depends on beside its own input."""
    arguments, manifest = context.arguments, context.manifest
    step = manifest.steps[arguments.step] if arguments.step else None
    inputs = {name: context.input(name) for name in step.inputs} if step else {}
    given = {name: context.optional_input(name) for name in step.optional_inputs} if step else {}
    inputs |= {name: folder for name, folder in given.items() if folder is not None}
    return {
        "tool": manifest.name,
        "version": manifest.version,
        "variant": arguments.variant,
        "step": arguments.step,
        "options": {name: arguments.options[name] for name in manifest.options_of(arguments.step)},
        "threads": arguments.threads,
        "weights": [checked.sha256 for checked in context.checked_weights.values()],
        "inputs": {name: records.outputs_digest(folder) for name, folder in inputs.items()},
    }


# ---------------------------------------------------------------------------------------------------- a list of cases


@dataclass(frozen=True, slots=True)
class _Measured:
    """What `run.json` holds of a case."""

    input_sha256: str
    output_sha256: str | None
    seconds: float
    peak_memory_mb: int


def _run_cases(context: Context, step: Cases[Any]) -> int:
    statuses = records.read_statuses(context.folder)
    measured: dict[str, _Measured] = {}
    identity = _identity(context)
    model: Any = None
    broken = loaded = False
    started = time.monotonic()
    context.progress.begin(len(context.cases), context.manifest.name)
    for name in context.cases:
        since = time.monotonic()
        image_sha256 = _digest_if_there(context.dataset.image(name))
        fingerprint = _case_fingerprint(context, {**identity, "image": image_sha256}, name)
        if _is_done(context, statuses.get(name), fingerprint):
            context.progress.advance(name, "already done")
            continue
        _discard(context, name)
        if not loaded:
            model, loaded = step.load(context), True
        status, contract_kept = _attempt(context, step, model, name, fingerprint)
        broken = broken or not contract_kept
        records.append_status(context.folder, status)
        statuses[name] = status
        measured[name] = _Measured(image_sha256, status.output_sha256, time.monotonic() - since, _peak_memory_mb())
        context.progress.advance(name, status.reason or "done", failed=status.state == "failed")
    failed = [name for name in context.cases if statuses[name].state == "failed"]
    if measured or not (context.folder / records.RUN).exists():
        records.write_statuses(context.folder, statuses)
        _write_case_provenance(context, statuses, measured, time.monotonic() - started)
    context.progress.end(f"{len(context.cases) - len(failed)} of {len(context.cases)} cases done, {len(failed)} failed")
    if broken:
        return ExitCode.CONTRACT_BROKEN
    return ExitCode.CASES_FAILED if failed else ExitCode.DONE


def _case_fingerprint(context: Context, identity: Mapping[str, object], case: str) -> str:
    """Digest of everything that a case's result depends on: identity with the image, label bytes, label table."""
    parts = dict(identity)
    if "labels" in context.reads:
        parts["labels"] = _digest_if_there(context.dataset.label(case))
        parts["organs"] = {str(i): organ for i, organ in context.dataset.labels.items()}
    return records.digest(parts)


def _digest_if_there(path: Path) -> str:
    try:
        return records.file_sha256(path)
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _is_done(context: Context, status: CaseStatus | None, fingerprint: str) -> bool:
    """Whether the case's file is there, is the one that was written, and would come out the same."""
    if context.arguments.overwrite or status is None or status.state != "done" or status.fingerprint != fingerprint:
        return False
    output = _output(context, status.case)
    return output.is_file() and records.file_sha256(output) == status.output_sha256


def _attempt(
    context: Context,
    step: Cases[Any],
    model: Any,  # noqa: ANN401 - the tool's model
    name: str,
    fingerprint: str,
) -> tuple[CaseStatus, bool]:
    """Do one case; whatever goes wrong is its own failure. The second value is False if the contract was broken."""
    notes: tuple[str, ...] = ()
    try:
        case = _read_case(context, name)
        notes = case.image.notes
        for note in notes:
            _say(f"{name}: {note}")
        labels = np.asarray(step.segment(model, case))
        _check_ids(context, name, labels)
        sha256 = write_labels(_output(context, name), labels, case.image)
    except CaseError as error:
        return CaseStatus(name, "failed", fingerprint, None, str(error), notes), True
    except ContractError as error:
        return CaseStatus(name, "failed", fingerprint, None, f"refused to write: {error}", notes), False
    except Exception as error:  # noqa: BLE001 - one case never stops a run; the traceback goes to the log
        traceback.print_exc()
        return CaseStatus(name, "failed", fingerprint, None, f"{type(error).__name__}: {error}", notes), True
    return CaseStatus(name, "done", fingerprint, sha256, None, notes), True


def _read_case(context: Context, name: str) -> Case:
    dataset = context.dataset
    image = read_image(dataset.image(name))
    labels = None
    if "labels" in context.reads:
        labels = read_labels(dataset.label(name), image, dataset.labels)
    return Case(name, image, labels, dataset.labels)


def _check_ids(context: Context, name: str, labels: NDArray[np.generic]) -> None:
    """Refuse ids that the tool's label table does not have."""
    table = context.manifest.variant(context.arguments.variant).labels
    known = {0, *(context.dataset.labels if table == "from-dataset" else table)}
    unknown = sorted(set(np.unique(labels).tolist()) - known)
    if unknown:
        raise ContractError(f"{name}: labels must have ids of the manifest's table, but have {unknown}")


def _output(context: Context, case: str) -> Path:
    return context.folder / f"{case}{SUFFIX}"


def _discard(context: Context, case: str) -> None:
    """Remove the result of an earlier input, so that a case that fails now leaves none behind."""
    _output(context, case).unlink(missing_ok=True)


def _write_case_provenance(
    context: Context, statuses: Mapping[str, CaseStatus], measured: Mapping[str, _Measured], seconds: float
) -> None:
    earlier = records.read_run(context.folder).get("cases", {})
    cases = {**earlier, **{name: asdict(m) for name, m in measured.items()}}
    outputs = {f"{name}{SUFFIX}": s.output_sha256 for name, s in sorted(statuses.items()) if s.output_sha256}
    atomic.write_json(
        context.folder / records.RUN,
        {
            **_provenance(context),
            "outputs": outputs,
            "cases": dict(sorted(cases.items())),
            "seconds": round(seconds, 3),
        },
    )


# --------------------------------------------------------------------------------------------------------------- a job


def _run_job(context: Context, step: Job) -> int:
    fingerprint = records.digest({**_identity(context), "cases": _job_cases(context)})
    earlier = records.read_run(context.folder)
    if (
        earlier.get("fingerprint") == fingerprint
        and not context.arguments.overwrite
        and _outputs_intact(context, earlier)
    ):
        _say(f"{context.folder.name}: already done")
        return ExitCode.DONE
    started = time.monotonic()
    step.work(context)
    context.progress.check_stop()
    outputs = {str(path.relative_to(context.folder)): records.file_sha256(path) for path in _files(context.folder)}
    atomic.write_json(
        context.folder / records.RUN,
        {
            **_provenance(context), "fingerprint": fingerprint, "outputs": outputs,
            "seconds": round(time.monotonic() - started, 3), "peak_memory_mb": _peak_memory_mb(),
        },
    )  # fmt: skip
    return ExitCode.DONE


def _job_cases(context: Context) -> dict[str, object]:
    """The cases of a job, with what the step reads of them: digests of their files, and what its labels mean."""
    reads = context.reads
    images = [_digest_if_there(context.dataset.image(case)) for case in context.cases] if "images" in reads else []
    labels = [_digest_if_there(context.dataset.label(case)) for case in context.cases] if "labels" in reads else []
    organs = {str(i): organ for i, organ in context.dataset.labels.items()} if "labels" in reads else {}
    return {"names": list(context.cases), "images": images, "labels": labels, "organs": organs}


def _files(folder: Path) -> list[Path]:
    """A job's results: every file that is neither hidden nor one of ours, sorted."""
    ours = {records.RUN, records.STATUS}
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in ours and not p.name.startswith("."))


def _outputs_intact(context: Context, earlier: Mapping[str, Any]) -> bool:
    outputs: Mapping[str, str] = earlier.get("outputs", {})
    return all(
        (context.folder / f).is_file() and records.file_sha256(context.folder / f) == s for f, s in outputs.items()
    )


# ---------------------------------------------------------------------------------------------------------- provenance


def _provenance(context: Context) -> dict[str, object]:
    arguments, manifest = context.arguments, context.manifest
    weights = manifest.variant(arguments.variant).weights
    return {
        "tool": manifest.name,
        "version": manifest.version,
        "variant": arguments.variant,
        "step": arguments.step,
        "options": dict(arguments.options),
        "weights": [
            {"file": w.file, "sha256": context.checked_weights[w.file].sha256, "licence": w.licence} for w in weights
        ],
        "prompts": manifest.prompts,
        "device": arguments.device,
        "threads": arguments.threads,
        "image_id": os.environ.get("TOOL_IMAGE_ID") or None,
        "revision": os.environ.get("TOOL_REVISION") or None,
        "python": platform.python_version(),
        **context.facts,
        "packages": {d.name: d.version for d in sorted(importlib.metadata.distributions(), key=lambda d: d.name)},
    }


def _peak_memory_mb() -> int:
    """Peak resident memory of this process so far, in MB (Linux counts in kB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
