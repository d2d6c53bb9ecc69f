import json
import sys
from pathlib import Path
from subprocess import run

TRAINER = Path(__file__).parents[3] / "containers" / "trainer"


def test_description_needs_no_torch():
    done = run([sys.executable, str(TRAINER / "tool.py"), "describe"], capture_output=True, text=True, check=True)
    imported = run(
        [sys.executable, "-X", "importtime", str(TRAINER / "tool.py"), "describe"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout)["kind"] == "trainer"
    assert "torch" not in imported.stderr
