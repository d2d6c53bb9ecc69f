"""The program around a tool: a tool's author writes a manifest and two functions.

    def load(context: Context) -> Model: ...                       once a run
    def segment(model: Model, case: Case) -> LabelMap: ...         once a case

    if __name__ == "__main__":
        raise SystemExit(run(__file__, Cases(load, segment)))

A tool of several steps gives a dictionary: step -> `Cases(load, segment)`, or `Job(work)` for work that is not a list
of cases. Everything else is done by this library:

    tool.py  the command line, the order of the steps, exit codes
      context.py  checks before the first case
      run_cases.py, run_job.py  resume, reading and atomic writing, status, provenance, progress
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from contract import commandline
from contract.commandline import Arguments
from contract.context import Context, make_context
from contract.errors import CaseError, ContractError, ExitCode, Stopped, UsageError
from contract.manifest import Manifest, load_manifest
from contract.oserrors import describe_os_error
from contract.progress import log_line
from contract.run_cases import run_cases
from contract.run_job import run_job
from contract.steps import Cases, Job, Steps
from contract.stopping import Stopper


def run(program: str, steps: Steps) -> int:
    """Run a tool from its command line.

    Args:
        program: the tool's `__file__`; its manifest lies beside it.
        steps: what the tool does; a mapping where the manifest names steps.

    Returns:
        The exit code.
    """
    stopper = Stopper()
    stopper.install()
    try:
        code = _run(program, steps, stopper)
    except Exception as error:
        if not stopper.requested:
            raise
        return _say_stopped(f" ({type(error).__name__}: {error})")
    failed = code not in {ExitCode.DONE, ExitCode.CASES_FAILED, ExitCode.STOPPED}
    return _say_stopped("") if failed and stopper.requested else code


def _say_stopped(consequence: str) -> int:
    """End as one that was stopped, whatever a library made of the interruption.

    Inside an import it may come out as an ImportError, since what was half imported is imported again.
    """
    log_line(f"stopped by SIGTERM{consequence}; what is done is kept, and the next run goes on from here")
    return ExitCode.STOPPED


def _run(program: str, steps: Steps, stopper: Stopper) -> int:
    """Run a tool, and say what went wrong as far as it may."""
    try:
        manifest = load_manifest(Path(program).resolve().parent)
        arguments = commandline.parse(manifest, sys.argv[1:], os.environ)
        if arguments is None:
            sys.stdout.write(json.dumps(manifest.model_dump(), indent=1, ensure_ascii=False) + "\n")
            return ExitCode.DONE
        if manifest.steps and arguments.step is None:
            return _run_all_steps(manifest, arguments, steps, stopper)
        return _run_step(make_context(manifest, arguments, stopper), steps)
    except UsageError as error:
        log_line(f"error: {error}")
        return ExitCode.USAGE
    except ContractError as error:
        log_line(f"error: {error}")
        return ExitCode.CONTRACT_BROKEN
    except CaseError as error:
        log_line(f"error: {error}")
        return ExitCode.CASES_FAILED
    except Stopped:
        return _say_stopped("")
    except OSError as error:
        if (sentence := describe_os_error(error)) is None:
            raise
        log_line(f"error: {sentence}")
        return ExitCode.USAGE


def _run_all_steps(manifest: Manifest, arguments: Arguments, steps: Steps, stopper: Stopper) -> int:
    """Do all steps in order; the last one's results are the label version, the others' are hidden beside it."""
    hidden = arguments.out / arguments.dataset / f".{arguments.label_version}"
    step_folders: dict[str, Path] = {}
    code = int(ExitCode.DONE)
    for name in manifest.steps:
        is_last = name == list(manifest.steps)[-1]
        context = make_context(manifest, replace(arguments, step=name), stopper, None if is_last else hidden / name)
        context = replace(context, step_folders=dict(step_folders))
        log_line(f"step {name}: {manifest.steps[name].summary}")
        code = _run_step(context, steps)
        if code not in {ExitCode.DONE, ExitCode.CASES_FAILED}:
            break
        step_folders[name] = context.folder
    return code


def _run_step(context: Context, steps: Steps) -> int:
    os.environ.update({"OMP_NUM_THREADS": str(context.threads), "MKL_NUM_THREADS": str(context.threads)})
    step = steps if isinstance(steps, Cases) else steps[context.arguments.step or ""]
    return run_job(context, step) if isinstance(step, Job) else run_cases(context, step)
