"""The tests would notice if the package used the network: as it is published, it does."""

from collections.abc import Callable
from pathlib import Path

import pytest

AS_PUBLISHED = """
import os, tempfile
os.environ["TOTALSEG_HOME_DIR"] = tempfile.mkdtemp()
from totalsegmentator import config, libs
config.setup_totalseg()
config.send_usage_stats(config.increase_prediction_counter(), dict.fromkeys(
    ["task", "fast", "preview", "multilabel", "roi_subset", "statistics", "radiomics"]))
try:
    libs.download_pretrained_weights(297)
except Exception:
    print("no weights")
"""


@pytest.mark.venvs
def test_the_package_as_published_reports_its_use_and_downloads_weights(python: Path, watched: Callable):
    done, attempts = watched([str(python), "-c", AS_PUBLISHED])

    assert done.returncode == 0, done.stderr
    assert any("stats.totalsegmentator.com" in attempt for attempt in attempts)
    assert any("github.com" in attempt for attempt in attempts)
