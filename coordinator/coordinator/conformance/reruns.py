"""Rules that need runs of their own: second runs, runs on changed or damaged data, stopped runs, wrong usage."""

import shutil
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from contract.datasets import SUFFIX
from contract.errors import ExitCode
from contract.gzipfiles import decompress
from contract.manifest import Option, OptionValue
from coordinator.conformance.data import CASES, CHANGED, OTHER_GRID, TRUNCATED
from coordinator.conformance.evidence import (
    list_some,
    must_end,
    must_equal,
    must_fail_alone,
    must_refuse,
    must_say,
    read_run_record,
    read_statuses,
)
from coordinator.conformance.session import (
    CheckSession,
    NotApplicable,
    RuleBroken,
    StepResult,
    Trial,
    file_states,
    protected_files,
    rewritten_cases,
)
from coordinator.runners.stopping import GRACE_S
from coordinator.tools.options import option_arguments

QUICK_S = 1.5
"""A run with nothing to do may take this much longer than `describe`, or half of the first run's time."""
LONG_S = 30
"""If a run of all cases takes longer, only the manifest's few cases are used for stopping."""
IGNORED_SIGTERM_S = 1.0
"""A run that ends with code 0 later than this after SIGTERM ignored it; earlier, its work was just done."""
TRIES = 4
"""Options to try until the tool accepts a change."""


def check_second_run(session: CheckSession) -> None:
    """Check that a second run changes no file and loads no model."""
    for result in session.undisturbed:
        folder = session.copy_results("again", result.step)
        before = file_states(folder)
        second = session.run(Trial("again", result.step))
        must_end(second, ExitCode.DONE)
        if changed := {name for name, state in file_states(folder).items() if before.get(name) != state}:
            names = list_some(changed)
            raise RuleBroken(f"{result.prefix}a second run must leave every file alone, but writes {names}")
    first_s, begin = session.undisturbed[-1].outcome.seconds, time.monotonic()
    session.target.describe()
    describe_s = time.monotonic() - begin
    quick_s = max(describe_s + QUICK_S, first_s / 2)
    seconds = [second.outcome.seconds]
    while seconds[-1] > quick_s and len(seconds) < 3:  # the machine may have been busy
        seconds.append(session.run(Trial("again", session.last_step)).outcome.seconds)
    if min(seconds) > quick_s:
        raise RuleBroken(
            f"a run with nothing to do must load no model, but takes {min(seconds):.1f} s "
            f"(the first run {first_s:.1f} s, `describe` {describe_s:.1f} s)"
        )


def check_changed_input(session: CheckSession) -> None:
    """Check that the case whose image changed is done again, and no other case."""
    result, before = session.damaged_run
    rewritten = rewritten_cases(before, result.folder)
    if CHANGED not in rewritten:
        reason = result.outcome.last_line
        raise RuleBroken(f"{CHANGED}: must be done again after its image changed, but is not ({reason})")
    if unchanged := rewritten - {CHANGED, TRUNCATED, OTHER_GRID}:
        raise RuleBroken(f"only the changed case must be done again, but so is {list_some(unchanged)}")


def check_changed_option(session: CheckSession) -> None:
    """Check that the requested cases are done again with another option, and that the other cases stay."""
    folder = session.copy_results("option", session.last_step)
    before, requested = file_states(folder), set(CASES[:2])
    for arguments in islice(_changed_options(session), TRIES):
        result = session.run(Trial("option", session.last_step, ("--cases", ",".join(sorted(requested)), *arguments)))
        if result.outcome.code != ExitCode.USAGE:  # a tool may refuse a value that is in the manifest's range
            break
    must_end(result, ExitCode.DONE)
    if (rewritten := rewritten_cases(before, folder)) != requested:
        option, names = " ".join(arguments), list_some(requested)
        raise RuleBroken(f"with {option} {names} must be done again, but {list_some(rewritten)} is")


def check_truncated_image(session: CheckSession) -> None:
    """Check that a truncated image fails only its own case."""
    must_fail_alone(session, TRUNCATED)


def check_label_grid(session: CheckSession) -> None:
    """Check that labels on another grid than their image's fail only their own case."""
    if not session.reads_labels:
        raise NotApplicable("reads no labels" + (" in its last step" if session.last_step else ""))
    must_fail_alone(session, OTHER_GRID)


def check_stop(session: CheckSession) -> None:
    """Check that every step, stopped in the middle, leaves whole files and resumes to the same results."""
    too_quick = [result for result in session.undisturbed if not _check_step_stops(session, result)]
    if len(too_quick) == len(session.undisturbed):
        raise NotApplicable(f"is done before it can be stopped ({too_quick[-1].outcome.seconds:.1f} s)")


def check_all_steps(session: CheckSession) -> None:
    """Check that a run without --step does all steps and makes the same label maps."""
    if session.steps == (None,) or not session.manifest.is_self_contained:
        raise NotApplicable("has no steps" if session.steps == (None,) else "its steps need inputs from outside")
    result = session.run(Trial("whole", None, inputs={}))
    must_end(result, ExitCode.DONE)
    for case in CASES:
        if _read_bytes(result.label_map(case)) != session.undisturbed[-1].label_map(case).read_bytes():
            raise RuleBroken(f"{case}: must be the same as when it is run step by step, but is not")


def check_usage(session: CheckSession) -> None:
    """Check that a mistake on the command line gives a message and exit code 2."""
    must_refuse(session.run(Trial("usage-option", session.last_step, ("--no-such-option", "1"))), "an unknown option")
    must_refuse(session.run(Trial("usage-dataset", session.last_step, dataset="nosuch")), "an unknown dataset")


def check_empty_dataset(session: CheckSession) -> None:
    """Check that a dataset without cases gives a message and exit code 2."""
    must_refuse(session.run(Trial("empty", session.last_step, kind="empty")), "a dataset without images")


def check_environment(session: CheckSession) -> None:
    """Check that options can be given as variables, by the run.json of a run on images that all fail."""
    case, name, manifest = CASES[3], "from-environment", session.manifest
    values = {key: _another_value(option) for key, option in manifest.options.items()}
    options = {k: value for k, value in values.items() if value is not None and k not in manifest.check.options}
    general: dict[str, OptionValue] = {}
    general |= {"dataset": "check", "cases": case, "label-version": name, "threads": manifest.resources.cpus + 1}
    result = _run_by_variables(session, name, {**general, **options})
    for _ in range(TRIES):
        # A tool may refuse a value that is in the manifest's range; its message names the option.
        refused = {key for key in options if result.outcome.code == ExitCode.USAGE and key in result.outcome.log}
        if not refused:
            break
        options = {key: value for key, value in options.items() if key not in refused}
        result = _run_by_variables(session, name, {**general, **options})
    must_end(result, ExitCode.CASES_FAILED, ExitCode.DONE)
    result = StepResult(result.step, result.place, result.outcome, result.folder.with_name(name))
    if (tried := set(read_statuses(result))) != {case}:
        raise RuleBroken(f"TOOL_CASES={case} must choose that case, but {list_some(tried)} was tried")
    must_say(read_run_record(result), {"threads": general["threads"]}, "with TOOL_THREADS run.json")
    recorded = {key: value for key, value in options.items() if key in manifest.option_names(result.step)}
    must_say(read_run_record(result)["options"], recorded, "with TOOL_… variables run.json: options")


def check_case_selection(session: CheckSession) -> None:
    """Check that `--cases` and `--shard` choose cases, by the status of images that all fail."""
    requested = {CASES[1], CASES[4]}
    if (tried := _find_tried_cases(session, "cases", "--cases", ",".join(sorted(requested)))) != requested:
        raise RuleBroken(f"--cases must do {list_some(requested)}, but {list_some(tried)} was tried")
    first, second = (_find_tried_cases(session, f"shard-{i}", "--shard", f"{i}/2") for i in (1, 2))
    if not first or not second or first & second or first | second != set(CASES):
        shards = f"{list_some(first)} and {list_some(second)}"
        raise RuleBroken(f"--shard 1/2 and 2/2 must share the cases, but try {shards}")


def check_weights(session: CheckSession) -> None:
    """Check that weights with a flipped byte are refused."""
    files = [entry.file for entry in session.manifest.variant(session.variant).weights if entry.package is None]
    if not files or session.weights is None:
        raise NotApplicable("has no weights, or they come with its package" if not files else "no folder of weights")
    copy = session.work / "flipped-weights"
    tool = shutil.copytree(session.weights / session.manifest.name, copy / session.manifest.name)
    candidates = [path for path in (tool / files[0], *(tool / files[0]).rglob("*")) if path.is_file()]
    _flip_a_byte(max(candidates, key=lambda path: path.stat().st_size))
    must_refuse(session.run(Trial("weights", session.last_step, weights=copy)), f"{files[0]} with another sha256")


def check_outside(session: CheckSession) -> None:
    """Check that no run so far wrote outside of /out and /tmp, and that data and weights did not change."""
    _ = session.undisturbed
    if session.strays:
        raise RuleBroken(f"nothing must be left outside of /out and /tmp, but {list_some(session.strays)} is")
    now = protected_files(session.data, session.weights, session.manifest.name)
    if changed := {name for name in {*now, *session.initial_files} if now.get(name) != session.initial_files.get(name)}:
        raise RuleBroken(f"data and weights must stay as they are, but {list_some(changed)} does not")


def _check_step_stops(session: CheckSession, result: StepResult) -> bool:
    """Stop and resume a step, and check the results; return False if it was done before it could be stopped."""
    cases = CASES if result.step or result.outcome.seconds < LONG_S else session.few_cases
    arguments = () if result.step else ("--cases", ",".join(cases))
    stopped = _stop_midway(session, result, arguments)
    if stopped.outcome.code == ExitCode.DONE and stopped.outcome.after_sigterm_s <= IGNORED_SIGTERM_S:
        return False
    if stopped.outcome.code != ExitCode.STOPPED:
        required = f"must end with exit code 143 within {GRACE_S} s of SIGTERM"
        outcome = f"{stopped.outcome.code} ({stopped.outcome.last_line})"
        raise RuleBroken(f"{result.prefix}{required}, but ends with {outcome}")
    for path in stopped.folder.glob(f"[!.]*{SUFFIX}"):
        decompress(path, path.read_bytes())
    must_end(session.run(Trial(stopped.place, result.step, arguments)), ExitCode.DONE)
    must_equal(stopped, result, {*cases})
    return True


def _stop_midway(session: CheckSession, result: StepResult, arguments: tuple[str, ...]) -> StepResult:
    """Stop a step in the middle: at its first label map, else at half of its duration, else at a fifth of it."""
    writes_label_maps = result.step in {None, session.last_step}
    for share in (None, 0.5, 0.2) if writes_label_maps else (0.5, 0.2):
        place = f"stop-{share or 'at-a-label-map'}"
        folder, begin = session.results_folder(place, result.step), time.monotonic()

        def is_time(share: float | None = share, folder: Path = folder, begin: float = begin) -> bool:
            if share is None:
                return any(folder.glob(f"[!.]*{SUFFIX}"))
            return time.monotonic() - begin > result.outcome.seconds * share

        stopped = session.run(Trial(place, result.step, arguments, should_stop=is_time))
        if stopped.outcome.code != ExitCode.DONE or stopped.outcome.after_sigterm_s > IGNORED_SIGTERM_S:
            break
    return stopped


def _find_tried_cases(session: CheckSession, place: str, *arguments: str) -> set[str]:
    """Find the cases that a run tries, on images that all fail."""
    result = session.run(Trial(place, session.last_step, arguments, kind="unreadable"))
    must_end(result, ExitCode.CASES_FAILED, ExitCode.DONE)
    return set(read_statuses(result))


def _run_by_variables(session: CheckSession, place: str, values: Mapping[str, OptionValue]) -> StepResult:
    """Run the last step on images that all fail, with all options given as variables."""
    variables = {f"TOOL_{name.replace('-', '_').upper()}": _as_variable(value) for name, value in values.items()}
    return session.run(Trial(place, session.last_step, kind="unreadable", environment=variables, dataset=None))


def _as_variable(value: OptionValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _changed_options(session: CheckSession) -> Iterator[tuple[str, ...]]:
    """Yield arguments that change one option of the last step, first the tool's own options, then the contract's."""
    for name in session.manifest.option_names(session.last_step):
        value = _another_value(session.manifest.options[name])
        if value is not None and name not in session.manifest.check.options:
            yield option_arguments({name: value})
    yield ("--threads", str(session.manifest.resources.cpus + 1))


def _another_value(option: Option) -> OptionValue | None:
    """A value other than the default; None where the manifest says too little to choose one."""
    match option.default:
        case bool(default):
            return not default
        case str(default):
            return next((choice for choice in option.choices if choice != default), None)
        case default:
            step = 1 if option.type == "int" else 0.125
            return next((value for value in (default + step, default - step) if _is_allowed(option, value)), None)


def _is_allowed(option: Option, value: OptionValue) -> bool:
    try:
        option.check("value", value)
    except ValueError:
        return False
    return True


def _flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _read_bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
