"""What `coordinator plan` prints of leaks."""

from coordinator.cli.studyrun import describe_leaks
from coordinator.study.steps import Plan


def test_plan_prints_a_line_for_each_leak_with_its_cases():
    leaks = [
        {"about": "a, b", "sure": "certain", "sentence": "1 scan is in both.", "cases": ["b/x = a/y"]},
        {"about": "a", "sure": "can't tell which scans", "sentence": "Published.", "cases": []},
    ]

    assert list(describe_leaks(Plan("toy", "data", None, (), {"leaks": leaks}))) == [
        "leak (certain): 1 scan is in both. Cases: b/x = a/y",
        "leak (can't tell which scans): Published.",
    ]
