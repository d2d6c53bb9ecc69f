"""YAML at random, at every key of a study file, dataset.yaml, manifest.yaml and label mapping, and bytes at random.

Nothing but `UsageError` may be raised, its message begins with the file's path and is short, and no file takes 5 seconds.
FUZZ_COUNT files are tried (20,000 in `make fuzz`), from FUZZ_SEED. What is found becomes a file of `corpus/yaml`, whose
name begins with what it is read as; those are tried first.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from helpers.fuzzing import bounded, count, generator

from contract import yamlfiles
from contract.datasets import DatasetDescription
from contract.errors import UsageError
from contract.manifest import load_manifest
from coordinator.study.file import load_study
from coordinator.study.labelmappings import read_label_mapping
from coordinator.tools.finding import Tool, find_tools

CORPUS = sorted((Path(__file__).parent / "corpus" / "yaml").glob("*.yaml"))
STUDY = """
name: toy
data: data
out: runs
weights: weights
datasets: [toy, word]
generators: [medsam, stunet-base, {name: x, tool: degrade, variant: errors, options: {target-dice: 0.8, seed: 3}},
  {name: y, tool: nnunet, options: {patch: auto, features: "8,16", mirroring: false, learning-rate: 0.01}}]
exclude: {toy: {case_1: metal}}
score: {tolerance_mm: 1.0, also_mm: [2.0, 3.0], distances: true, empty: flare21}
train: {epochs: 5, batches_per_epoch: 2, batch_size: 2, learning_rate: 1.0e-3, holdout: 0.2, split_seed: 0, seeds: [0, 1],
  noise_seeds: [2], patch: "32,32,16", spacing: "1,1,2", filters: "8,16,32", options: {mirror-axes: yz, workers: 2}}
transfer: [segthor]
verdict: {margin: 0.01, surface_margin: 0.02, alpha: 0.05, failure_rate: 0.1, minutes_per_mask: 10,
  max_hours_per_point: 100, seed_std: 0.005, seed_std_source: five seeds}
run: {runtime: auto, place: local, gpus: [0, 1], cores: 2, threads: 1, retries: 1}
"""
DATASET = """
name: toy
modality: CT
licence: none
citation: A. B (2020)
source: here
labels: {1: liver, 2: spleen, 3: kidney_left}
exclude: {case_1: metal, case_2: cut}
"""
MANIFEST = """
contract: 1
name: toy
version: 0.1.0
kind: generator
summary: a tool
licence: MIT
upstream: {name: x, url: y, version: '1', licence: MIT, citation: z}
needs: [labels]
prompts: ground-truth
trains_on_labels: {without_held_out: {n: 3}}
resources: {cpus: 1, memory_gb: 4.0, shm_mb: 64, gpu: optional, gpu_memory_gb: 2.0}
default_variant: one
variants:
  one: {summary: x, labels: {1: liver}, weights: [{file: a/b.pth, url: u, page: p, sha256: null, size_mb: 3.0, licence: MIT, terms: t}]}
  two: {summary: x, labels: from-dataset}
options:
  n: {type: int, default: 3, minimum: 1, maximum: 9, multiple_of: 3, help: x, steps: [second]}
  share: {type: float, default: 0.5, minimum: 0.0, help: x}
  word: {type: str, default: a, choices: [a, b], help: x}
  axes: {type: str, default: yz, pattern: '[xyz]+', help: x}
  patch: {type: str, default: auto, numbers: {word: auto, type: int, least: 3, most: 3, minimum: 1, maximum: 9}, help: x}
  flag: {type: bool, default: true, help: x}
steps:
  first: {summary: x, inputs: {split: split}, optional_inputs: [parent], reads: [images, labels], gpu: false, shared: true}
  second: {summary: x, inputs: {first: first}}
check: {cases: 3, options: {n: 3}}
"""
MAPPING = """
map: {liver: [liver], kidney: [kidney_left, kidney_right]}
unavailable: {rectum: none}
discard: [spleen]
"""
SOURCE, TARGET = (
    dict(enumerate(["liver", "kidney_left", "kidney_right", "spleen"], 1)),
    dict(enumerate(["liver", "kidney", "rectum"], 1)),
)
GOOD = {"study": STUDY, "dataset": DATASET, "manifest": MANIFEST, "mapping": MAPPING}
SCALARS = [
    "", "~", "null", "yes", "no", "on", "true", "0", "-1", "-0", "1", "007", "0o17", "0x", "0xff", "0b2", "1_000", "1__", "1e3", "1e-3", "1e999",
    "-.inf", ".nan", ".", "..", "...", "+", "-", "1.2.3", "12:30", "190:20:30.5", "2024-02-30", "2024-13-45T99:99:99", "2024-01-01 00:00:00 +99:99",
    "=", "<<", "!!int x", "!!int ''", "!!float x", "!!bool 7", "!!null x", "!!timestamp x", "!!binary '*'", "!!set {a}", "!!omap [a: b]", "!!pairs [a]",
    "!!python/name:os.system", "!!python/object/apply:os.system ['true']", "!x y", "! 5", "!!str 5", "!!map [1]", "!!seq {a: b}", "!!merge x",
    "9" * 400, "-" + "9" * 5000, "1." + "0" * 5000, "0" * 300, "1e" + "9" * 300, "x" * 3000, "'" + "é" * 500 + "'", "'\\'", '"\\0"', '"\\ud800"',
    '"\\x07"', '"\\n\\n"', '"\\t"', "' '", "''", "a/../../b", "/", "/dev/zero", "../..", "$(reboot)", "{{7*7}}", "%s%n", "'\u202e'", "'🫀'", "'ß'", "'ﬁ'",
    '"0,0,0"', '".,.,."', '"1,,1"', '"1e9,1,1"', '"-1,16,16"', '"99999999999999999999,1,1"', '"nan,nan,nan"', "[]", "{}", "[[]]", "[{}]", "[~]", "[1, a]",
    "{a: b}", "{1: 2}", "{~: ~}", "{? [a] : b}", "&a b", "*a", "&a [*a]", "{<<: {a: b}}", "{<<: [1]}", "{<<: *a}", "[" * 40 + "]" * 40, "{a: " * 30 + "}" * 30,
    "[" + "1," * 500 + "]", "{" + ",".join(f"k{i}: 1" for i in range(300)) + "}", "# comment", "a: b", "a #b", "'a", '"a', "[a", "{a", "|", ">\n x", "- a", "? a", "@a", "`a`", "%a",
]  # fmt: skip
PIECES = [b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\t", b"\r", b"\n", b"\n\n", b": ", b"- ", b"[", b"]", b"{", b"}", b"&a ", b"*a ", b"<<: ", b"!!",
          b"'", b'"', b"\\", b"#", b"|", b">", b"%", b"---\n", b"...\n", b"\xc3", b"\xc2\x85", b"\xe2\x80\xa8", b"0", b"9" * 50, b".", b"-", b"~", b"e"]  # fmt: skip

Read = Callable[[Path], object]


@pytest.fixture(scope="module")
def readers() -> dict[str, Read]:
    tools = find_tools()
    return {
        "study": lambda file: resolve(file, tools),
        "dataset": lambda file: yamlfiles.load(file, DatasetDescription),
        "manifest": lambda file: load_manifest(file.parent),
        "mapping": lambda file: read_label_mapping(file, SOURCE, TARGET),
    }


def resolve(file: Path, tools: dict[str, Tool]) -> object:
    """All that is made of a study file before data is looked at."""
    study = load_study(file, tools)
    return study.data, study.weights, study.run_folder, study.content.score.scoring, repr(study)


def try_to_read(read: Read, file: Path, content: bytes) -> bool:
    """Read a file; only a short message that begins with its path may come instead. Returns whether it was read."""
    file.write_bytes(content)
    with bounded(content):
        try:
            read(file)
        except UsageError as error:
            text = str(error)
            assert text.startswith(f"{file}: "), (content, text)
            assert len(text) < 20_000, (content, text[:500])
            return False
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}; keep this in the corpus: {content!r}") from error
    return True


def paths(content: object, before: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The paths to all values of a document."""
    yield before
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield from paths(value, (*before, key))


def replace(content: object, path: tuple[object, ...], *, key: bool) -> object:
    """A copy in which a mark stands for the value at a path, or for its key."""
    if not path:
        return "MARK"
    items = dict(content) if isinstance(content, dict) else dict(enumerate(content))  # type: ignore[call-overload]
    inner = items[path[0]] if key and len(path) == 1 else replace(items[path[0]], path[1:], key=key)
    renamed = "MARK" if key and len(path) == 1 and isinstance(content, dict) else path[0]
    items = {renamed if k == path[0] else k: inner if k == path[0] else v for k, v in items.items()}
    return items if isinstance(content, dict) else list(items.values())


def draw_value(draw: random.Random, depth: int = 0) -> str:
    """A value in flow style."""
    kind = draw.random()
    if depth > 3 or kind < 0.7:
        return draw.choice(SCALARS)
    parts = [draw_value(draw, depth + 1) for _ in range(draw.randint(0, 4))]
    if kind < 0.85:
        return f"[{', '.join(parts)}]"
    return (
        "{"
        + ", ".join(f"{draw_value(draw, 4) if draw.random() < 0.3 else f'k{i}'}: {p}" for i, p in enumerate(parts))
        + "}"
    )


def mutate(draw: random.Random, good: bytes) -> bytes:
    content = bytearray(good)
    for _ in range(draw.randint(1, 8)):
        place, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
        end = min(end, place + draw.choice([0, 1, 3, 20, 200]))
        match draw.randrange(4):
            case 0:
                content[place:end] = draw.choice(PIECES) * draw.choice([1, 1, 1, 2, 30])
            case 1:
                content[place:end] = b""
            case 2:
                content[place:place] = content[place:end] * draw.choice([1, 2, 50])
            case _:
                content[place : place + 1] = bytes([draw.randrange(256)])
        content = content or bytearray(b"x")
    return bytes(content)


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
def test_what_was_once_found_is_refused_with_a_message(file: Path, readers: dict[str, Read], tmp_path: Path):
    (tmp_path / "toy").mkdir()

    assert not try_to_read(readers[file.stem.partition("-")[0]], tmp_path / "toy" / "manifest.yaml", file.read_bytes())


@pytest.mark.parametrize("kind", GOOD)
def test_the_files_that_are_changed_are_good(kind: str, readers: dict[str, Read], tmp_path: Path):
    (tmp_path / "toy").mkdir()

    assert try_to_read(readers[kind], tmp_path / "toy" / "manifest.yaml", GOOD[kind].encode())


@pytest.mark.parametrize("kind", GOOD)
def test_every_key_takes_any_value_or_refuses_it_with_a_message(kind: str, readers: dict[str, Read], tmp_path: Path):
    draw, content = generator(f"keys {kind}"), yaml.safe_load(GOOD[kind])
    places = [path for path in paths(content) if path]
    (tmp_path / "toy").mkdir()
    for number in range(count(100) // 8 + len(places)):
        path = places[number] if number < len(places) else draw.choice(places)
        marked = replace(content, path, key=draw.random() < 0.2)
        text = yaml.safe_dump(marked, default_flow_style=True, width=10**6, sort_keys=False).replace(
            "MARK", draw_value(draw)
        )

        try_to_read(readers[kind], tmp_path / "toy" / "manifest.yaml", text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("kind", GOOD)
def test_bytes_at_random_are_refused_with_a_message(kind: str, readers: dict[str, Read], tmp_path: Path):
    draw = generator(f"bytes {kind}")
    (tmp_path / "toy").mkdir()
    for _ in range(count(200) // 8):
        try_to_read(readers[kind], tmp_path / "toy" / "manifest.yaml", mutate(draw, GOOD[kind].encode()))
