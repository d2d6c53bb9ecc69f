"""Command lines at random: whatever a user types, there is a message and an exit code, never a traceback.

The commands and options are those of click itself, so new ones are tried unasked. FUZZ_COUNT command lines are tried.
Nothing is built, downloaded or served: tools, engine and network are out of reach.
"""

import os
import random
import shutil
import sys
from pathlib import Path

import click
import pytest
from helpers.fuzzing import bounded, count, generator

from contract import commandline
from contract.errors import UsageError
from contract.manifest import Manifest, load_manifest
from coordinator.cli.main import commands, main

TOOLS = Path(__file__).parents[1] / "tools"
CODES = {0, 2, 3, 4, 143}
NEVER = {"exec-step"}
"""Commands that a user doesn't type."""
WORDS = [
    "", " ", "-", "--", "---", "--help", "-h", "--version", "-x", "--none", "--cases=", "@", "@x", "x", "word", "probe", "probe-bone", "probe-", "-probe",
    "none", "Word", "a b", "a,b", "..", "../..", ".", "/", "//", "/dev/null", "/dev/zero", "/proc/self/mem", "~", "*", "?", "[", "$(x)", "`x`", ";", "|",
    "%s", "{0}", "{x}", "é", "e\u0301", "\u202e", "🫀", "\udcff", "x" * 300, "x/" * 2000, "a\nb", "a\tb", "\x07", "0", "-1", "1", "2", "1.5", "1e3", "1e999",
    "nan", "inf", "-inf", "9" * 30, "9" * 5000, "0x1", "٣", "http://127.0.0.1:9/x", "http://", "http://[", "file:///etc/passwd", "docker", "process", "all",
    "flare21", "auto", "cuda:0", "1/2", "2/1", "0/0", "true", "no",
]  # fmt: skip
FILES = [
    "missing", "empty", "folder", "pipe", "binary", "study.yaml", "bad.yaml", "bomb.yaml", "data", "data/word", "data/word/dataset.yaml", "data/word/labels",
    "data/none", "data/broken", "dangling", "loop", "unreadable", "run", "run/plan.json", "a b", "out.csv", "out.parquet", "new/deep/er", "empty/below",
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with files of many kinds; a folder of tools with one tool, which is not built."""
    tools = tmp_path / "tools"
    shutil.copytree(TOOLS / "probe", tools / "probe")
    folder = tmp_path / "here"
    for name in ("folder", "data/word/labels", "data/word/images", "data/broken", "run", "a b"):
        (folder / name).mkdir(parents=True)
    (folder / "empty").touch()
    os.mkfifo(folder / "pipe")
    (folder / "binary").write_bytes(bytes(range(256)))
    (folder / "study.yaml").write_text("name: toy\ndatasets: [word]\ngenerators: [probe]\nrun: {runtime: process}\n")
    (folder / "bad.yaml").write_text("name: [\n")
    (folder / "bomb.yaml").write_text(
        "a: &a [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1 if i else ''}, *a]\n" for i in range(40))
    )
    (folder / "data/word/dataset.yaml").write_text("name: word\nlabels: {1: liver}\n")
    (folder / "data/word/labels/a.nii.gz").write_bytes(b"no NIfTI")
    (folder / "data/broken/dataset.yaml").write_bytes(b"\xff\xfe")
    (folder / "run/study.yaml").write_text("score: 5")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    (folder / "unreadable").write_text("x")
    (folder / "unreadable").chmod(0)
    for name, value in {
        "COORDINATOR_TOOLS": str(tools),
        "DOCKER_HOST": f"unix://{tmp_path}/none",
        "NO_COLOR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    return folder


def all_commands(group: click.Group, before: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = [(before, group)]
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += all_commands(command, (*before, name))
        elif name not in NEVER:
            found.append(((*before, name), command))
    return found


def draw_command_line(draw: random.Random, path: tuple[str, ...], command: click.Command) -> list[str]:
    """Arguments and options of a command, each with a word or file at random; now and then too few or too many."""
    words: list[str] = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            least = 0 if draw.random() < 0.1 else 1
            words += [draw_word(draw) for _ in range(draw.randint(least, 2 if parameter.nargs == -1 else 1))]
        elif parameter.name != "serve" and draw.random() < (0.8 if parameter.required else 0.3):
            option = draw.choice(parameter.opts)
            is_flag = isinstance(parameter, click.Option) and parameter.is_flag
            words += [option] if is_flag else [option, draw_word(draw)]
    if draw.random() < 0.15:
        words.insert(draw.randrange(len(words) + 1), draw_word(draw))
    if draw.random() < 0.1:
        draw.shuffle(words)
    if path == ("tool", "build") and not any(word.startswith("none") for word in words):
        words.append("none")  # without a name it would build all tools
    if path == ("dataset", "phantom"):
        words += ["--cases", draw.choice(["1", "0", "10001", "x"])]  # the last one counts: few cases, or none
    return [*path, *(word.replace("\0", "") for word in words)]


def draw_word(draw: random.Random) -> str:
    return draw.choice(FILES if draw.random() < 0.6 else WORDS)


def run_main(words: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """The exit code of the coordinator for these words."""
    monkeypatch.setattr(sys, "argv", ["coordinator", *words])
    try:
        main()
    except SystemExit as end:
        return end.code
    except BaseException as error:
        raise AssertionError(f"{type(error).__name__}: {error}; of the command line {words!r}") from error
    return 0


COMMANDS = all_commands(commands)


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(path) or "coordinator" for path, _ in COMMANDS])
def test_a_command_line_at_random_ends_in_a_message_and_an_exit_code(
    path: tuple[str, ...],
    command: click.Command,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    draw = generator(f"command {path}")
    for _ in range(count(120) // 6):
        words = draw_command_line(draw, path, command)
        with bounded(words):
            code = run_main(words, monkeypatch)
        shown = capfd.readouterr()
        assert code in CODES, words
        assert "Traceback" not in shown.out + shown.err, words
        assert code != 2 or shown.err.strip(), words


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return load_manifest(TOOLS / "probe")


def test_a_tools_command_line_at_random_is_read_or_refused(manifest: Manifest, place: Path):
    draw = generator("tool")
    options = ["--dataset", "--variant", "--cases", "--shard", "--device", "--threads", "--label-version", "--overwrite",
               "--data", "--out", "--weights", "--inputs", "--threshold", "--pause-s", "describe", "run"]  # fmt: skip
    for _ in range(count(300)):
        words = [draw.choice(options) if draw.random() < 0.5 else draw_word(draw) for _ in range(draw.randint(0, 6))]
        variables = {
            f"TOOL_{draw.choice(options).strip('-').upper().replace('-', '_')}": draw_word(draw) for _ in range(2)
        }
        try:
            commandline.parse(manifest, words, variables)
        except UsageError as error:
            assert str(error)
        except SystemExit as end:
            assert end.code == 0, words  # --help
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}; of the command line {words!r}") from error
