"""`make audit`: known vulnerabilities of every package that a lock names, as the OSV database knows them.

Without network nothing is checked, and that is said: exit code 3. Exit code 1: something was found.
"""

import os
import subprocess
import sys
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[1]
SERVICE = "https://api.osv.dev/v1/query"
FOUND, NOT_CHECKED = 1, 3


def main() -> int:
    """Check all locks; return the exit code."""
    service = os.environ.get("OSV_URL", SERVICE)
    reason = describe_failure(service)
    if reason:
        print(f"no network: {service} must answer, but: {reason}; nothing was checked", file=sys.stderr)
        return NOT_CHECKED
    bad = [lock for lock in list_locks() if not is_clean(lock, service)]
    for lock in bad:
        print(
            f"{lock.relative_to(ROOT)}: see above; raise the pin in its pyproject.toml, then `make lock`",
            file=sys.stderr,
        )
    return FOUND if bad else 0


def list_locks() -> list[Path]:
    """All locks but those of PyTorch's CPU build, whose version is in the lock of its CUDA build too."""
    places = ("*.lock", "coordinator/*.lock", "containers/*/*.lock")
    return sorted(lock for place in places for lock in ROOT.glob(place) if not lock.name.endswith("-cpu.lock"))


def describe_failure(service: str) -> str:
    """Why the database does not answer, in one line; empty where it does."""
    question = {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "0.1"}
    try:
        requests.post(service, json=question, timeout=20).raise_for_status()
    except requests.RequestException as error:
        return str(error).partition("\n")[0][:200]
    return ""


def is_clean(lock: Path, service: str) -> bool:
    """Whether nothing is known against the packages of a lock; what is known is printed."""
    print(lock.relative_to(ROOT), flush=True)
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    command += ["--vulnerability-service", "osv", "--osv-url", service, "--requirement", str(lock)]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())
