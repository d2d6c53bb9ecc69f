"""`coordinator weights list` and `verify`."""

from collections.abc import Callable
from pathlib import Path

from helpers.servers import Files
from helpers.weights import OTHER, SHA256, fetch, run_weights, write_tool

from coordinator.tools.finding import find_tools
from coordinator.weights.listing import list_weights


def test_verify_says_what_is_right_wrong_missing_and_unknown(tmp_path: Path, server: Files) -> None:
    url = server.url("/one.pt")
    files = ("ok.pt", "changed.pt", "gone.pt", "new.pt")
    entries: list[dict[str, object]] = [{"file": name, "url": url, "licence": "MIT"} for name in files]
    entries[0]["sha256"] = SHA256
    entries.append({"file": "Many", "url": server.url("/v2/Many.zip"), "archive": "zip", "licence": "MIT"})
    entries.append({"file": "a.pth", "package": "nothing_real", "licence": "MIT"})
    write_tool(tmp_path / "tools", {"all": entries})
    assert fetch("net")[0] == 0
    root = tmp_path / "weights/net"
    (root / "changed.pt").write_bytes(OTHER)
    (root / "gone.pt").unlink()
    (root / "Many/extra").write_bytes(b"")
    lines = [line for line in (root / "SHA256SUMS").read_text().splitlines(keepends=True) if "new.pt" not in line]
    (root / "SHA256SUMS").write_text("".join(lines))

    result = run_weights("verify")

    verdicts = {row.split("\t")[0]: row.split("\t")[1] for row in result.output.splitlines()[1:]}
    assert verdicts == {
        "net/ok.pt": "ok", "net/changed.pt": "differs", "net/gone.pt": "missing", "net/new.pt": "unknown",
        "net/Many": "differs", "net/a.pth": "in package",
    }  # fmt: skip
    assert "Many/extra is not listed; remove it, then `coordinator weights fetch net-all`" in result.output
    assert result.return_value == 3


def test_verify_accepts_right_and_missing_weights(tool: Callable[..., None]) -> None:
    fetch("net")

    assert run_weights("verify").return_value == 0


def test_list_shows_what_each_variant_needs_and_has(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    write_tool(tmp_path / "tools", {"plain": []}, name="bare")
    tool(size_mb=0.64, terms="none of your business")
    fetch("net", "--accept-terms")

    rows = [line.split("\t") for line in run_weights("list").output.splitlines()]

    assert rows == [
        ["tool", "variant", "weights", "size", "sha256", "licence", "there", "from"],
        ["bare", "plain", "needs none", "", "", "", "", ""],
        ["net", "one", "one.pt", "0.64 MB", "recorded", "MIT (terms)", "yes", server.url("/one.pt")],
        ["net", "many", "Many", "0.64 MB", "unknown", "MIT (terms)", "no", server.url("/v2/Many.zip")],
    ]


def test_weights_that_variants_share_are_one_item(tmp_path: Path) -> None:
    entry = {"file": "a.pt", "url": "http://localhost/a.pt", "licence": "MIT"}
    write_tool(tmp_path / "tools", {"big": [entry], "small": [entry]})

    (item,) = list_weights(find_tools())

    assert item.variants == ("big", "small")
