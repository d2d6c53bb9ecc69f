"""Studies that something strikes at a random moment: the cause is named, nothing is lost, and the results are the same.

A trial starts a study, waits, lets one fault strike, and looks at how the run ended. Then the cause is removed and the
study is run once more: it must end well, with the bytes of a run that nothing disturbed, and without doing again what
was done before. `make chaos COUNT=200` prints a table; trial n of a seed (CHAOS_SEED) always chooses the same moments.
"""

import os

import pytest
from helpers.chaos import MakeCalm, Trial, find_lost, mount_disk
from helpers.faults import FAULTS, Fault
from helpers.studies import read_contents

pytestmark = [pytest.mark.venvs, pytest.mark.long]
COUNT = int(os.environ.get("CHAOS_COUNT") or 20)
SEED = int(os.environ.get("CHAOS_SEED") or 0)
TRAINS_EVERY = 8
"""Of so many trials of a fault one strikes a study with networks."""


def choose_kind(fault: Fault, number: int) -> str:
    """A kind of study: one with weights or networks, or a light one; containers are of the light one."""
    if fault.needs == "weights":
        return "weights"
    rounds = number // len(FAULTS)
    return "training" if rounds % TRAINS_EVERY == TRAINS_EVERY - 1 and fault.needs != "docker" else "light"


@pytest.mark.parametrize("number", range(COUNT))
def test_a_struck_study_says_why_loses_nothing_and_ends_in_the_same_bytes(
    number: int, calm: MakeCalm, outcome: dict[str, object], request: pytest.FixtureRequest
) -> None:
    place = (number + SEED * 7) % len(FAULTS)
    fault = FAULTS[place]
    engine = request.getfixturevalue("own_engine") if fault.needs == "docker" else None
    expected = calm(choose_kind(fault, number), engine)
    study = expected.lay_out()
    if fault.needs == "mount":
        request.addfinalizer(mount_disk(study.parent / "runs"))

    trial = Trial(study, f"{SEED} {number}", engine)
    request.addfinalizer(trial.coordinator.kill)
    trial.wait(expected.seconds, fault.latest)
    before = trial.finished()
    undo = fault.strike(trial)
    code, printed = trial.end()
    story = f"{fault.name} {trial.notes}: {code}\n{printed}"
    if undo is not None:
        undo()
    last_code, last = trial.run_again()
    after = trial.finished()
    lost = find_lost(before, after, times=not fault.touches)
    outcome |= {"fault": fault.name, "trials": 1, "struck": undo is not None, "ended the run": code != 0}
    outcome["steps lost"] = 0 if fault.loses else len(lost)

    assert "Traceback" not in printed, story
    assert code == 0 or (undo is not None and code in fault.codes), story
    if code > 0:
        assert fault.is_named_in(printed), story
    assert last_code == 0, story + last
    assert fault.loses or not lost, story + last + str(lost)
    contents = read_contents(trial.run)
    differing = [
        name for name in {**expected.contents, **contents} if contents.get(name) != expected.contents.get(name)
    ]
    assert not differing, f"{story}{last}{sorted(differing)}"
    outcome["identical"] = 1
