"""The environment variables of programs that the coordinator starts: a list, so that nothing else of a user's leaks in.

What a shell profile, a cluster's module or another project sets (SNAKEMAKE_PROFILE, PYTHONPATH, BASH_ENV, XDG_*,
OMP_*) would change what a step does, or end it. Tools get less: `process` and `sandbox` say what.
"""

import os
import pwd
import tempfile
from collections.abc import Mapping
from pathlib import Path

PASSED = frozenset({
    "PATH", "LD_LIBRARY_PATH",  # where Python itself may have come from
    "TMPDIR", "TZ", "USER", "LOGNAME",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "XDG_RUNTIME_DIR",  # where a rootless engine answers
    "KUBECONFIG",
})  # fmt: skip
"""Variables that steps and the workflow engine get as they are."""
PASSED_FAMILIES = (
    "COORDINATOR_", "CUDA_", "NVIDIA_", "DOCKER_", "SLURM_", "KUBERNETES_",
    "AWS_", "AZURE_", "CLOUDSDK_", "GOOGLE_",  # of the programs that a kubeconfig names for credentials
)  # fmt: skip
"""Variables that begin so are passed, too."""


def child_environment(home: Path, caller: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of the workflow engine and of steps.

    Args:
        home: a folder that is the home of a user who has none.
        caller: the caller's variables.
    """
    passed = {name: value for name, value in caller.items() if name in PASSED or name.startswith(PASSED_FAMILIES)}
    user = {"USER": user_name(caller), "LOGNAME": user_name(caller)}
    fixed = {"HOME": str(home_folder(caller) or home), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
    return {"PATH": os.defpath} | passed | user | fixed


def home_folder(caller: Mapping[str, str] = os.environ) -> Path | None:
    """The caller's home that may be written to; None where there is none, as for a user id without an entry."""
    try:
        home = Path(caller.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None
    return home if home.is_absolute() and os.access(home, os.W_OK | os.X_OK) else None


def user_name(caller: Mapping[str, str] = os.environ) -> str:
    """The caller's name; libraries ask for one, and fail for a user id that has none."""
    for name in ("LOGNAME", "USER"):
        if caller.get(name):
            return caller[name]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def fill_environment() -> None:
    """Give this program a name and a home where it was started without, before a library asks for them."""
    os.environ.setdefault("LOGNAME", user_name())
    if home_folder() is None:
        os.environ["HOME"] = tempfile.gettempdir()
