"""The engine where others work: odd paths, other users' variables, no home, no name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.engine import nothing, plan, run

from coordinator.runners.environment import child_environment

ROOT = Path(__file__).resolve().parents[3]
RUN = """
import sys
from pathlib import Path
from helpers.engine import nothing, plan, run
assert "clone" in sys.executable and "clone" in run.__globals__["snakemake"].__file__
assert run(Path(sys.argv[1]), plan(nothing("a"), nothing("b", "a"))) == (["toy/a", "toy/b"], {})
"""


def copy_checkout(folder: Path) -> Path:
    """Copy the coordinator and its environment, with links for all that is not ours; returns its Python."""
    own, packages = ROOT / "coordinator", Path(sys.prefix) / "lib" / "python3.11" / "site-packages"
    shutil.copytree(own, folder / "coordinator", ignore=shutil.ignore_patterns("__pycache__"))
    venv = folder / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", venv)
    copied = venv / "lib" / "python3.11" / "site-packages"
    copied.mkdir(parents=True)
    for entry in packages.iterdir():
        if entry.suffix != ".pth":
            (copied / entry.name).symlink_to(entry)
    paths = [folder / "coordinator", ROOT / "containers" / "contract"]
    (copied / "ours.pth").write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
    return venv / "bin" / "python"


@pytest.mark.parametrize("name", ["my clone", 'it\'s a "{näme}" & $HOME (clone)'])
def test_the_checkout_may_lie_in_a_folder_with_any_name(name: str, tmp_path: Path):
    python = copy_checkout(tmp_path / name)
    folder = tmp_path / name / "runs"
    folder.mkdir()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "tests"), "LC_ALL": "C.UTF-8"}

    done = subprocess.run([python, "-c", RUN, folder], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_nothing_of_a_users_surroundings_reaches_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    poison = tmp_path / "poison"
    (poison / "snakemake" / "cluster").mkdir(parents=True)
    (poison / "snakemake" / "__init__.py").write_text("raise SystemExit(9)")
    (poison / "snakemake" / "cluster" / "config.yaml").write_text("executor: no-such-executor\n")
    (poison / "rc").write_text("exit 9\n")
    for name, value in {
        "SNAKEMAKE_PROFILE": "cluster", "XDG_CONFIG_HOME": poison, "XDG_CACHE_HOME": "/nowhere", "PYTHONPATH": poison,
        "PYTHONHOME": "/nowhere", "PYTHONSTARTUP": poison / "rc", "PYTHONWARNINGS": "error", "BASH_ENV": poison / "rc",
        "ENV": poison / "rc", "VIRTUAL_ENV": "/nowhere", "CONDA_PREFIX": "/nowhere", "LC_ALL": "xx_XX.ISO-8859-1",
        "OMP_NUM_THREADS": "none", "TMPDIR": tmp_path,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    for name in ("HOME", "USER", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "run").mkdir()

    assert run(tmp_path / "run", plan(nothing("a"))) == (["toy/a"], {})


def test_the_engines_variables_are_those_that_are_listed():
    caller = {
        "PATH": "/bin", "HOME": "/nowhere", "HTTPS_PROXY": "http://proxy", "CUDA_VISIBLE_DEVICES": "1",
        "COORDINATOR_GPUS": "0", "DOCKER_HOST": "tcp://x", "SNAKEMAKE_PROFILE": "p", "PYTHONPATH": "/x", "OMP_NUM_THREADS": "9",
        "LANG": "de_DE.ISO-8859-1", "LOGNAME": "ada", "SECRET": "x",
    }  # fmt: skip

    assert child_environment(Path("/home-of-run"), caller) == {
        "PATH": "/bin", "HOME": "/home-of-run", "HTTPS_PROXY": "http://proxy", "CUDA_VISIBLE_DEVICES": "1",
        "COORDINATOR_GPUS": "0", "DOCKER_HOST": "tcp://x", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1",
        "USER": "ada", "LOGNAME": "ada",
    }  # fmt: skip
