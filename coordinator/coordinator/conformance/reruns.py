"""Rules that need runs of their own: again, on changed or damaged data, stopped, asked for nonsense."""

import shutil
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from contract.datasets import SUFFIX
from contract.errors import ExitCode
from contract.gzipfiles import decompress
from contract.manifest import Option, OptionValue
from coordinator.conformance.bench import (
    Bench,
    Broken,
    NotApplicable,
    Stage,
    Trial,
    as_arguments,
    redone,
    states,
    surroundings,
)
from coordinator.conformance.data import CASES, CHANGED, ELSEWHERE, TRUNCATED
from coordinator.conformance.evidence import (
    listed,
    must_end,
    must_equal,
    must_fail_alone,
    must_refuse,
    must_say,
    run_record,
    statuses,
)
from coordinator.runners.stopping import GRACE_S

QUICK_S = 1.5
"""A run that has nothing to do takes so much longer than `describe`, at most, or half of the first run's time."""
LONG_S = 30
"""Where a run of all cases takes longer, the manifest's few are enough to be stopped in."""
GOES_ON_S = 1.0
"""Who ends well so long after SIGTERM has not heard it; a moment after it, the work was just done."""
TRIES = 4
"""Options that are tried until the tool accepts the change."""


def again(bench: Bench) -> None:
    """A second run changes no file and loads no model."""
    for stage in bench.base:
        folder = bench.copied("again", stage.step)
        before = states(folder)
        second = bench.run(Trial("again", stage.step))
        must_end(second, ExitCode.DONE)
        if changed := {name for name, state in states(folder).items() if before.get(name) != state}:
            raise Broken(f"{stage.words}a second run must leave every file alone, but writes {listed(changed)}")
    first_s, begin = bench.base[-1].ended.seconds, time.monotonic()
    bench.target.describe()
    describe_s = time.monotonic() - begin
    quick_s = max(describe_s + QUICK_S, first_s / 2)
    seconds = [second.ended.seconds]
    while seconds[-1] > quick_s and len(seconds) < 3:  # the machine may have been busy
        seconds.append(bench.run(Trial("again", bench.last)).ended.seconds)
    if min(seconds) > quick_s:
        raise Broken(
            f"a run with nothing to do must load no model, but takes {min(seconds):.1f} s "
            f"(the first run {first_s:.1f} s, `describe` {describe_s:.1f} s)"
        )


def changed_input(bench: Bench) -> None:
    """The case whose image changed is done again, and no other."""
    stage, before = bench.damaged
    found = redone(before, stage.folder)
    if CHANGED not in found:
        raise Broken(f"{CHANGED}: must be done again after its image changed, but is not ({stage.ended.last_words})")
    if others := found - {CHANGED, TRUNCATED, ELSEWHERE}:
        raise Broken(f"only the changed case must be done again, but so is {listed(others)}")


def changed_option(bench: Bench) -> None:
    """Cases are done again with another option; those that are not asked for stay."""
    folder = bench.copied("option", bench.last)
    before, asked = states(folder), set(CASES[:2])
    for arguments in islice(_other_options(bench), TRIES):
        stage = bench.run(Trial("option", bench.last, ("--cases", ",".join(sorted(asked)), *arguments)))
        if stage.ended.code != ExitCode.USAGE:  # else a value in its range that the tool refuses all the same
            break
    must_end(stage, ExitCode.DONE)
    if (found := redone(before, folder)) != asked:
        raise Broken(f"with {' '.join(arguments)} {listed(asked)} must be done again, but {listed(found)} is")


def truncated(bench: Bench) -> None:
    """An image cut in the middle is its own case's failure."""
    must_fail_alone(bench, TRUNCATED)


def label_elsewhere(bench: Bench) -> None:
    """Labels on another grid than their image's are their own case's failure."""
    if not bench.reads_labels:
        raise NotApplicable("reads no labels" + (" in its last step" if bench.last else ""))
    must_fail_alone(bench, ELSEWHERE)


def stop(bench: Bench) -> None:
    """Every step, stopped in the middle, leaves whole files, and goes on to the same result."""
    quick = [stage for stage in bench.base if not _stops_well(bench, stage)]
    if len(quick) == len(bench.base):
        raise NotApplicable(f"is done before it can be stopped ({quick[-1].ended.seconds:.1f} s)")


def whole(bench: Bench) -> None:
    """Without --step all steps are done, to the same label maps."""
    if bench.steps == (None,) or not bench.manifest.is_self_contained:
        raise NotApplicable("has no steps" if bench.steps == (None,) else "its steps need inputs from outside")
    stage = bench.run(Trial("whole", None, inputs={}))
    must_end(stage, ExitCode.DONE)
    for case in CASES:
        if _bytes(stage.label_map(case)) != bench.base[-1].label_map(case).read_bytes():
            raise Broken(f"{case}: must be the same as when it is run step by step, but is not")


def usage(bench: Bench) -> None:
    """A mistake on the command line is a message and exit code 2."""
    must_refuse(bench.run(Trial("usage-option", bench.last, ("--no-such-option", "1"))), "an unknown option")
    must_refuse(bench.run(Trial("usage-dataset", bench.last, dataset="nosuch")), "an unknown dataset")


def empty(bench: Bench) -> None:
    """A dataset without cases is a message and exit code 2."""
    must_refuse(bench.run(Trial("empty", bench.last, kind="empty")), "a dataset without images")


def environment(bench: Bench) -> None:
    """Options can be given as variables; seen in the run.json of a run that is over as soon as its options are read."""
    case, name = CASES[3], "from-environment"
    others = {key: other for key, option in bench.manifest.options.items() if (other := _other(option)) is not None}
    options = {key: other for key, other in others.items() if key not in bench.manifest.check.options}
    general: dict[str, OptionValue] = {}
    general |= {"dataset": "check", "cases": case, "label-version": name, "threads": bench.manifest.resources.cpus + 1}
    stage = _by_environment(bench, name, {**general, **options})
    for _ in range(TRIES):
        # A value in its range that the tool refuses all the same: the message names the option.
        refused = {key for key in options if stage.ended.code == ExitCode.USAGE and key in stage.ended.log}
        if not refused:
            break
        options = {key: value for key, value in options.items() if key not in refused}
        stage = _by_environment(bench, name, {**general, **options})
    must_end(stage, ExitCode.CASES_FAILED, ExitCode.DONE)
    stage = Stage(stage.step, stage.place, stage.ended, stage.folder.with_name(name))
    if (tried := set(statuses(stage))) != {case}:
        raise Broken(f"TOOL_CASES={case} must choose that case, but {listed(tried)} was tried")
    must_say(run_record(stage), {"threads": general["threads"]}, "with TOOL_THREADS run.json")
    must_say(run_record(stage)["options"], options, "with TOOL_… variables run.json: options")


def chosen(bench: Bench) -> None:
    """`--cases` and `--shard` choose; what is tried is seen on images that all fail."""
    asked = {CASES[1], CASES[4]}
    if (tried := _tried(bench, "cases", "--cases", ",".join(sorted(asked)))) != asked:
        raise Broken(f"--cases must do {listed(asked)}, but {listed(tried)} was tried")
    first, second = (_tried(bench, f"shard-{i}", "--shard", f"{i}/2") for i in (1, 2))
    if not first or not second or first & second or first | second != set(CASES):
        raise Broken(f"--shard 1/2 and 2/2 must share the cases, but try {listed(first)} and {listed(second)}")


def weights(bench: Bench) -> None:
    """Weights with a flipped byte are refused."""
    files = [entry.file for entry in bench.manifest.variant(bench.variant).weights if entry.package is None]
    if not files or bench.weights is None:
        raise NotApplicable("has no weights, or they come with its package" if not files else "no folder of weights")
    copy = bench.work / "flipped-weights"
    tool = shutil.copytree(bench.weights / bench.manifest.name, copy / bench.manifest.name)
    below = [path for path in (tool / files[0], *(tool / files[0]).rglob("*")) if path.is_file()]
    _flip_a_byte(max(below, key=lambda path: path.stat().st_size))
    must_refuse(bench.run(Trial("weights", bench.last, weights=copy)), f"{files[0]} with another sha256")


def outside(bench: Bench) -> None:
    """Nothing but /out and /tmp was written to by any run so far; data and weights are what they were."""
    _ = bench.base
    if bench.strays:
        raise Broken(f"nothing must be left outside of /out and /tmp, but {listed(bench.strays)} is")
    now = surroundings(bench.data, bench.weights, bench.manifest.name)
    if changed := {name for name in {*now, *bench.before} if now.get(name) != bench.before.get(name)}:
        raise Broken(f"data and weights must stay as they are, but {listed(changed)} does not")


def _stops_well(bench: Bench, stage: Stage) -> bool:
    """Whether a step could be stopped before it was done; raises where that goes wrong."""
    cases = CASES if stage.step or stage.ended.seconds < LONG_S else bench.few
    given = () if stage.step else ("--cases", ",".join(cases))
    stopped = _stopped(bench, stage, given)
    if stopped.ended.code == ExitCode.DONE and stopped.ended.went_on_s <= GOES_ON_S:
        return False
    if stopped.ended.code != ExitCode.STOPPED:
        how = f"{stopped.ended.code} ({stopped.ended.last_words})"
        raise Broken(f"{stage.words}must end with exit code 143 within {GRACE_S} s of SIGTERM, but ends with {how}")
    for path in stopped.folder.glob(f"[!.]*{SUFFIX}"):
        decompress(path, path.read_bytes())
    must_end(bench.run(Trial(stopped.place, stage.step, given)), ExitCode.DONE)
    must_equal(stopped, stage, {*cases})
    return True


def _stopped(bench: Bench, stage: Stage, arguments: tuple[str, ...]) -> Stage:
    """Stop a step in the middle: when its first label map appears, else at half of its time, or at a fifth of it."""
    maps = stage.step in {None, bench.last}
    for share in (None, 0.5, 0.2) if maps else (0.5, 0.2):
        place = f"stop-{share or 'at-a-label-map'}"
        folder, begin = bench.results(place, stage.step), time.monotonic()

        def is_time(share: float | None = share, folder: Path = folder, begin: float = begin) -> bool:
            if share is None:
                return any(folder.glob(f"[!.]*{SUFFIX}"))
            return time.monotonic() - begin > stage.ended.seconds * share

        stopped = bench.run(Trial(place, stage.step, arguments, stop=is_time))
        if stopped.ended.code != ExitCode.DONE or stopped.ended.went_on_s > GOES_ON_S:
            break
    return stopped


def _tried(bench: Bench, place: str, *arguments: str) -> set[str]:
    """The cases that a run takes up, on images that all fail."""
    stage = bench.run(Trial(place, bench.last, arguments, kind="unreadable"))
    must_end(stage, ExitCode.CASES_FAILED, ExitCode.DONE)
    return set(statuses(stage))


def _by_environment(bench: Bench, place: str, values: Mapping[str, OptionValue]) -> Stage:
    """A run on images that all fail, told by variables what to do."""
    variables = {f"TOOL_{name.replace('-', '_').upper()}": _as_variable(value) for name, value in values.items()}
    return bench.run(Trial(place, bench.last, kind="unreadable", environment=variables, dataset=None))


def _as_variable(value: OptionValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _other_options(bench: Bench) -> Iterator[tuple[str, ...]]:
    """Arguments that change one option of the last step, those of the tool before the contract's."""
    for name in bench.manifest.option_names(bench.last):
        other = _other(bench.manifest.options[name])
        if other is not None and name not in bench.manifest.check.options:
            yield as_arguments({name: other})
    yield ("--threads", str(bench.manifest.resources.cpus + 1))


def _other(option: Option) -> OptionValue | None:
    """Another value than the default; None where the manifest says too little to name one."""
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


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
