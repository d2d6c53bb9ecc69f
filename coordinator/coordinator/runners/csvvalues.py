"""Values of options that are parsed as a line of CSV, as `docker run --mount` and Apptainer's `--mount` are."""

import csv
import io


def csv_value(*parts: str) -> str:
    """Format the value of such an option."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(parts)
    return text.getvalue()
