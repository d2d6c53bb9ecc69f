"""What `coordinator report --serve` answers, and above all what it doesn't."""

import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.runs import make_run

from contract.errors import UsageError
from coordinator.report import serve

LABELS = "/volumes/datasets/word/2-labels/medsam/case_1.nii.gz"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path)
    (folder / "report/tables").mkdir(parents=True)
    (folder / "report/index.html").write_text("<h1>a report</h1>", encoding="utf-8")
    (folder / "report/tables/t.csv").write_text("a,b\n", encoding="utf-8")
    (tmp_path / "secret.nii.gz").write_bytes(b"secret")
    return folder


class Port(int):
    """A server's port, with the cookie of one who has opened the printed address."""

    token = cookie = ""


@pytest.fixture
def port(run: Path) -> Iterator[Port]:
    yield from started(run)


def started(run: Path) -> Iterator[Port]:
    with serve.make_server(serve.collect_site(run), 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        port = Port(serving.server_port)
        port.token = serving.token
        port.cookie = request(port, f"/?token={serving.token}").getheader("Set-Cookie", "").partition(";")[0]
        yield port
        serving.shutdown()
        thread.join()


def request(port: int, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    """The answer to one request; the path goes out as it is, whatever is in it."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
    connection.putrequest(method, path, skip_host=True)
    for name, value in ({"Host": "127.0.0.1"} | headers).items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def ask(port: Port, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, bytes]:
    """Status and body, for one who has the cookie."""
    answer = request(port, path, method, Host=host, Cookie=port.cookie)
    return answer.status, answer.body  # type: ignore[attr-defined]


def test_report_tables_viewer_and_volumes_are_answered(run: Path, port: Port):
    assert ask(port, "/") == (200, b"<h1>a report</h1>")
    assert ask(port, "/tables/t.csv") == (200, b"a,b\n")
    assert b"niivue.umd.js" in ask(port, "/viewer/")[1]
    assert ask(port, LABELS) == (200, (run / "datasets/word/2-labels/medsam/case_1.nii.gz").read_bytes())
    image = (run.parents[1] / "data/word/images/case_1.nii.gz").read_bytes()
    assert ask(port, "/volumes/image/word/case_1.nii.gz") == (200, image)


def test_a_head_is_the_answer_without_its_body(port: Port):
    assert ask(port, LABELS, "HEAD") == (200, b"")


def test_every_volume_that_can_be_chosen_is_there(port: Port):
    cases = json.loads(ask(port, "/viewer/cases.json")[1])["word"]["cases"]

    assert [case["case"] for case in cases if case["held_out"]] == ["case_2", "case_3", "case_4"]
    assert [len(case["layers"]) for case in cases] == [5, 5, 10, 10, 10]
    urls = [url for case in cases for url in (case["image"], *(layer["url"] for layer in case["layers"]))]
    assert [url for url in urls if ask(port, f"/{url}", "HEAD")[0] != 200] == []


@pytest.mark.parametrize(
    "path",
    [
        "/../../../secret.nii.gz", "/volumes/../../../secret.nii.gz", "/%2e%2e/%2e%2e/secret.nii.gz",
        "/volumes/datasets/word/2-labels/medsam/..%2f..%2f..%2f..%2f..%2fsecret.nii.gz", "/..%5c..%5csecret.nii.gz",
        "/%252e%252e/secret.nii.gz", "/viewer/../serve.py", "/viewer/..%2fserve.py", "//etc/passwd", "/etc/passwd",
        "/%2fetc/passwd", "/volumes/image/word/../../../secret.nii.gz", "/plan.json", "/study.yaml", "/../plan.json",
        "/tables/", "/volumes/", "/tables/../../plan.json", "/tables/t.csv%00.html", "/datasets/word/2-labels/medsam/case_1.nii.gz",
        "http://127.0.0.1/../plan.json", "/volumes/image/word/none.nii.gz", "/volumes/datasets/word/2-labels/medsam/run.json",
    ],
)  # fmt: skip
def test_nothing_else_is_reachable(port: Port, path: str):
    assert ask(port, path) == (404, b"")


def test_absolute_paths_are_none(run: Path, port: Port):
    for file in (
        run / "plan.json",
        run.parents[1] / "secret.nii.gz",
        run / "datasets/word/2-labels/medsam/case_1.nii.gz",
    ):
        assert ask(port, str(file)) == (404, b"")
        assert ask(port, f"/{file}") == (404, b"")


def test_links_that_lead_out_of_the_run_are_not_followed(run: Path):
    secret = run.parents[1] / "secret.nii.gz"
    label, table, folder = (
        run / "datasets/word/2-labels/medsam/case_1.nii.gz",
        run / "report/tables/x.csv",
        run / "datasets/word/2-labels/nnunet",
    )
    label.unlink()
    label.symlink_to(secret)
    table.symlink_to(secret)
    folder.rename(run.parents[1] / "elsewhere")
    folder.symlink_to(run.parents[1] / "elsewhere")

    for port in started(run):
        assert ask(port, LABELS) == (404, b"")
        assert ask(port, "/tables/x.csv") == (404, b"")
        assert ask(port, "/volumes/datasets/word/2-labels/nnunet/case_1.nii.gz") == (404, b"")


def test_a_link_that_changes_while_serving_is_not_followed(run: Path, port: Port):
    (run / "report/tables/t.csv").unlink()
    (run / "report/tables/t.csv").symlink_to(run.parents[1] / "secret.nii.gz")

    assert ask(port, "/tables/t.csv") == (404, b"")


def test_an_image_that_an_importer_linked_is_shown_but_no_other_kind_of_file(run: Path, port: Port):
    image = run.parents[1] / "data/word/images/case_1.nii.gz"
    content = image.read_bytes()
    image.rename(run.parents[1] / "official.nii.gz")
    image.symlink_to(run.parents[1] / "official.nii.gz")
    other = image.with_name("case_2.nii.gz")
    other.unlink()
    other.symlink_to(run / "plan.json")

    assert ask(port, "/volumes/image/word/case_1.nii.gz") == (200, content)
    assert ask(port, "/volumes/image/word/case_2.nii.gz") == (404, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MKCOL"])
def test_only_reading_is_allowed(port: Port, method: str):
    assert ask(port, "/", method)[0] == 501


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_another_name_for_this_address_is_refused(port: Port, host: str):
    assert ask(port, "/", host=host) == (403, b"")


def test_it_listens_on_loopback_only(run: Path):
    with serve.make_server(serve.collect_site(run), 0) as serving:
        assert serving.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_said(run: Path, port: Port):
    with pytest.raises(UsageError, match=f"--port {port}: 127.0.0.1:{port} must be free"):
        serve.make_server(serve.collect_site(run), port)


def test_cases_whose_images_are_gone_are_listed_without(run: Path):
    (run.parents[1] / "data").rename(run.parents[1] / "moved")

    cases = serve.collect_site(run).cases["word"]["cases"]

    assert [case["image"] for case in cases] == [None] * 5


def test_the_vendored_viewer_is_the_published_one():
    note = (serve.VIEWER / "README.md").read_text(encoding="utf-8")

    published = re.search(r"sha256 of niivue\.umd\.js\s+([0-9a-f]{64})", note)
    assert published and hashlib.sha256((serve.VIEWER / "niivue.umd.js").read_bytes()).hexdigest() == published[1]


def test_the_command_line_serves_until_it_is_interrupted(run: Path):
    shutil.rmtree(run / "report")
    command = [
        sys.executable,
        "-c",
        "from coordinator.cli.main import main; main()",
        "report",
        str(run),
        "--serve",
        "--port",
        "0",
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as serving:
        assert serving.stdout
        written, address = serving.stdout.readline().strip(), serving.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)(/\?token=\S+)", address)
        assert found
        cookie = request(int(found[1]), found[2]).getheader("Set-Cookie", "").partition(";")[0]
        answer = request(int(found[1]), "/", Cookie=cookie)
        serving.send_signal(signal.SIGINT)
        code = serving.wait(timeout=30)

    assert Path(written) == run.resolve() / "report/index.html"
    assert answer.body == Path(written).read_bytes()  # type: ignore[attr-defined]
    assert code == 0
