"""The report and the viewer in a real browser: headless Chromium, without network."""

import io
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.needs import skip_or_fail
from helpers.runs import make_run
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from coordinator.report import serve, write_report

SOFTWARE_GL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        skip_or_fail("chromium: needed to look at the report, but is not installed")
    arguments = [*SOFTWARE_GL, *(["--no-sandbox"] if os.getuid() == 0 else [])]
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("browser"))
    (folder / "report").mkdir()
    write_report(folder, folder / "report")
    return folder


@pytest.fixture(scope="module")
def address(run: Path) -> Iterator[str]:
    """The server's address with its token, without a path."""
    with serve.make_server(serve.collect_site(run), 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://{serve.HOST}:{serving.server_port}?token={serving.token}"
        serving.shutdown()
        thread.join()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page; the test fails for any error in its console, and for anything it asks of another machine."""
    opened = browser.new_page(viewport={"width": 1200, "height": 800})
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("request", lambda request: None if is_local(request.url) else problems.append(request.url))
    yield opened
    opened.close()
    assert problems == []


def is_local(url: str) -> bool:
    return url.startswith(("file:", "data:", "blob:", f"http://{serve.HOST}:"))


def first_column(page: Page, table: str) -> list[str]:
    heads = page.locator(f'table[data-table="{table}"] tbody th')
    return [" ".join(text.split()) for text in heads.all_inner_texts()]


def count(pixels: np.ndarray) -> int:
    """How many colours there are."""
    return len(np.unique(pixels @ np.array([65536, 256, 1])))


def colours(screenshot: bytes) -> np.ndarray:
    """(N, 3) colours of a screenshot's pixels."""
    return np.asarray(Image.open(io.BytesIO(screenshot)).convert("RGB")).reshape(-1, 3).astype(int)


def near(pixels: np.ndarray, red: range, green: range, blue: range) -> int:
    """How many pixels have their channels in these ranges."""
    inside = [(pixels[:, i] >= r.start) & (pixels[:, i] < r.stop) for i, r in enumerate((red, green, blue))]
    return int(np.logical_and.reduce(inside).sum())


def test_the_page_is_rendered_from_a_file(page: Page, run: Path):
    page.goto((run / "report/index.html").as_uri())

    assert page.locator("h1").inner_text() == "demo-study"
    widths = page.locator("img").evaluate_all("images => images.map(i => i.naturalWidth)")
    assert len(widths) == 2 and min(widths) > 300
    assert page.locator(".drawing svg").count() == 2
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert count(colours(page.screenshot(full_page=True))) > 500


def test_it_fits_a_telephone_and_a_dark_room(page: Page, run: Path):
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="dark")

    page.goto((run / "report/index.html").as_uri())

    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert near(colours(page.screenshot()), range(50), range(50), range(60)) > 100_000


def test_a_printed_page_has_everything_opened_and_no_buttons(page: Page, run: Path):
    page.goto((run / "report/index.html").as_uri())
    page.emulate_media(media="print")
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")

    assert not page.locator("nav").is_visible()
    assert page.locator("details:not([open])").count() == 0
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_tables_are_sorted_by_numbers_and_both_lines_of_a_version_stay_together(page: Page, run: Path):
    page.goto((run / "report/index.html").as_uri())
    table = page.locator('table[data-table="label-quality"]')
    head = table.locator("thead th").nth(2)
    before = first_column(page, "label-quality")

    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert first_column(page, "label-quality") == ["nnunet ‡ §", "totalseg", "stunet-base", "medsam †"]
    assert table.locator("tbody tr").evaluate_all("rows => rows.map(r => r.className)") == ["first", "second"] * 4

    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert first_column(page, "label-quality") == ["medsam †", "stunet-base", "totalseg", "nnunet ‡ §"]

    head.locator("button").click()
    assert head.get_attribute("aria-sort") is None
    assert first_column(page, "label-quality") == before


def test_tables_are_sorted_from_the_keyboard_with_dashes_last(page: Page, run: Path):
    page.goto((run / "report/index.html").as_uri())
    heads = page.locator('table[data-table="cases-word"] thead th')
    column = [text.strip() for text in heads.all_inner_texts()].index("network: nnunet")

    heads.nth(column).locator("button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")

    assert heads.nth(column).get_attribute("aria-sort") == "ascending"
    values = page.locator(f'table[data-table="cases-word"] tbody tr td:nth-child({column + 1})').all_inner_texts()
    assert values[3:] == ["–", "–"] and values[:3] == sorted(values[:3])  # noqa: RUF001 - the dash of the tables


def test_columns_of_plain_texts_are_sorted_as_numbers_where_all_are_numbers(page: Page):
    rows = "".join(
        f"<tr><td>{name}</td><td>{gain}</td></tr>"
        for name, gain in (("b", "+9.5"), ("a", "\N{MINUS SIGN}12.0"), ("c", ""), ("d", "+10.5"))
    )
    head = "<thead><tr><th>version</th><th>gain</th></tr></thead>"
    script = (Path(serve.__file__).parent / "page.js").read_text(encoding="utf-8")
    page.set_content(
        f'<table class="listing">{head}<tbody>{rows}</tbody></table><p class="viewer"></p><script>{script}</script>'
    )
    names = page.locator("tbody tr td:first-child")

    page.locator("th button").nth(1).click()
    assert names.all_inner_texts() == ["d", "b", "a", "c"]
    page.locator("th button").nth(0).click()
    assert names.all_inner_texts() == ["a", "b", "c", "d"]


def test_the_viewer_shows_the_volume_and_both_label_maps(page: Page, address: str):
    page.goto(address.replace("?", "/viewer/?"))
    page.locator("body[data-state=shown]").wait_for(timeout=30_000)

    assert page.locator("#case option").count() == 5
    assert [page.locator(f"#{id} option:checked").inner_text() for id in ("reference", "compared")] == [
        "labels: base",
        "labels: nnunet",
    ]
    both = colours(page.locator("canvas").screenshot())
    assert count(both) > 200
    assert near(both, range(130, 230), range(150, 220), range(40, 120)) > 5000  # yellow over green

    page.select_option("#compared", "")
    page.locator("body[data-state=shown]").wait_for(timeout=30_000)
    page.wait_for_timeout(300)
    green = colours(page.locator("canvas").screenshot())
    assert near(green, range(40, 110), range(120, 180), range(90, 160)) > 5000


def test_a_case_of_the_report_leads_to_its_volume(page: Page, address: str):
    page.goto(address.replace("?", "/?"))
    page.locator('table.cases [data-case="case_3"] a').click()
    page.locator("body[data-state=shown]").wait_for(timeout=30_000)

    assert page.locator("#case option:checked").inner_text() == "case_3 (held out)"
    assert page.url == f"{address.partition('?')[0]}/viewer/#word/case_3"


def test_a_volume_that_is_gone_is_said_in_the_viewer(browser: Browser, tmp_path: Path):
    run = make_run(tmp_path)
    (run / "report").mkdir()
    (run.parents[1] / "data").rename(run.parents[1] / "moved")
    opened = browser.new_page()
    with serve.make_server(serve.collect_site(run), 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        opened.goto(f"http://{serve.HOST}:{serving.server_port}/viewer/?token={serving.token}")
        opened.locator("body[data-state=failed]").wait_for(timeout=30_000)
        text = opened.locator("#state").inner_text()
        opened.close()
        serving.shutdown()
        thread.join()

    assert text == "case_0: its image is not there any more"
