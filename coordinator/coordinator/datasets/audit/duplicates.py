"""The same scan twice, in a dataset and across datasets, and the same labels for two scans."""

from collections.abc import Iterator, Sequence

from coordinator.datasets.audit.findings import Finding, Weight
from coordinator.datasets.check import DatasetCheck, find_shared_scans
from coordinator.datasets.twins import group_equal


def judge_duplicates(check: DatasetCheck, others: Sequence[DatasetCheck] = ()) -> list[Finding]:
    """Findings on sound cases that are one scan, or have one file of labels.

    Args:
        check: of the dataset.
        others: of other datasets that may hold scans of it.

    Returns:
        For each case that is the scan of an earlier one, a finding that names that one. A scan that is also in other
        datasets has one for each of them.
    """
    findings = [_judge_pair(check, same[0], case) for same in check.twins for case in same[1:]]
    findings += _judge_copied_labels(check)
    for other in others:
        for case, there in find_shared_scans(check, other).items():
            findings.append(
                Finding(
                    "scan-in-other-dataset",
                    Weight.SUSPECT,
                    f"the same scan is {there} of {other.name}",
                    "don't train on one of them and test on the other; exclude one",
                    case=case,
                )
            )
    return findings


def _judge_pair(check: DatasetCheck, first: str, case: str) -> Finding:
    """The finding on a case whose scan is that of an earlier one."""
    one, two = check.checks[first], check.checks[case]
    if one.labels_sha256 == two.labels_sha256:
        advice = "exclude one of them: a scan that is there twice counts twice"
        kind, weight, text = "same-scan", Weight.SUSPECT, f"the same scan is {first} too"
        return Finding(kind, weight, text, advice, case=case)
    advice = "compare the two label maps, and exclude the worse one"
    odd_ones = [check.labels[i] for i in sorted(set(one.organs) ^ set(two.organs))]
    text = f"the same scan is {first} too, and the files of their labels differ"
    if odd_ones:
        organs = ", ".join(odd_ones)
        text = (
            f"the same scan is {first} too, but {organs} {'is' if len(odd_ones) == 1 else 'are'} labelled in only one"
        )
    weight = Weight.WRONG if odd_ones and one.values_sha256 == two.values_sha256 else Weight.SUSPECT
    return Finding(
        "same-scan-other-labels", weight, text, advice, case=case, number=float(len(odd_ones)), unit="organs"
    )


def _judge_copied_labels(check: DatasetCheck) -> Iterator[Finding]:
    """Findings on cases that have the labels of another scan, byte for byte; empty label maps are alike by right."""
    one_scan = {case: same[0] for same in check.twins for case in same}
    files = {case: check.checks[case].labels_sha256 for case in check.cases if check.checks[case].organs}
    for same in group_equal(files):
        scans = {one_scan.get(case, case) for case in same}
        if len(scans) == 1:
            continue
        for case in same:
            first = next(other for other in same if one_scan.get(other, other) != one_scan.get(case, case))
            yield Finding(
                "labels-of-another-scan",
                Weight.WRONG,
                f"its labels are byte for byte those of {first}, which is another scan",
                "look which of the two they belong to, and find the other's labels",
                case=case,
            )
