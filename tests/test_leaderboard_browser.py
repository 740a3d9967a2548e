"""A leaderboard's page in a browser: no requests, sorting, small screens, and contrast in both themes."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lm_eval_tasks.publish.leaderboard import render
from tests.result_files import result_file
from tests.test_leaderboard import page_of

chromium = shutil.which("chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if chromium is None:
    pytest.skip("there is no chromium", allow_module_level=True)

MODELS = ("org/first", "second", "a-model-with-a-very-long-name/" + "and-no-space" * 6)
AXES = ("length", "bytes of state")
LABELS = tuple(model.rpartition("/")[2] for model in MODELS)
WORST_CONTRAST = """() => {
  const light = text => {
    const parts = text.match(/[\\d.]+/g).map(Number).slice(0, 3).map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = element => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (!/^rgba\\(.*, 0\\)$/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("script, title")) continue;
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [low, high] = [light(ink), light(behind(element))].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), node.data]);
  }
  return [found.length, ...found.sort((a, b) => a[0] - b[0])[0]];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaderboard")
    lengths = (20, 40, 60, 80, 100, 120, 200, 400, 800, 1600)
    for number, model in enumerate(MODELS):
        exact = {f"phone_book_{n}": [0.5, 1.0, 0.1][number] for n in lengths}
        if number < 2:
            exact |= {"c4_copy_25": [0.25, 0.125][number]}
        known = {"metadata": {"state_bytes": [10**5, 10**7][number]}} if number < 2 else {}
        result_file(folder, exact, model=model, truncated=number / 4, documents=500 - number, **known)
    page = folder / "index.html"
    page.write_bytes(render(page_of(folder), "A <title>"))
    return page


class Watched:
    """A page in its own window, with its requests and error messages."""

    def __init__(self, browser: Any, file: Path, **settings: Any) -> None:
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(file.as_uri())

    def models(self, table: str = "scores") -> list[str]:
        names: list[str] = self.page.locator(f".{table} tbody th bdi").all_text_contents()
        return names

    def orders(self) -> dict[str, str]:
        heads = self.page.eval_on_selector_all(
            "th[data-sorts]", "heads => heads.map(h => [h.dataset.name, h.getAttribute('aria-sort')])"
        )
        return {name: order for name, order in heads if order != "none"}


@pytest.fixture
def watch(browser: Any, file: Path) -> Iterator[Any]:
    opened: list[Watched] = []

    def start(**settings: Any) -> Watched:
        opened.append(Watched(browser, file, **settings))
        return opened[-1]

    yield start
    for watched in opened:
        watched.context.close()


def test_sorting_by_click_and_by_key_asks_for_nothing(watch: Any, file: Path) -> None:
    seen = watch()
    first, second, long = LABELS
    assert seen.models() == [first, second, long]
    assert seen.orders() == {"c4_copy, 25 tokens": "descending"}

    seen.page.get_by_role("button", name="mean").click()
    assert seen.models() == [second, first, long]
    assert seen.orders() == {"phone_book, mean": "descending"}
    assert seen.page.get_by_role("status").text_content() == "Sorted by phone_book, mean, descending."
    seen.page.keyboard.press("Enter")
    assert seen.models() == [long, first, second]
    assert seen.orders() == {"phone_book, mean": "ascending"}

    seen.page.get_by_role("button", name="25 tokens").press("Space")
    assert seen.models() == [first, second, long]
    seen.page.keyboard.press("Space")
    assert seen.models() == [second, first, long], "a model without a score stays last"
    seen.page.locator(".scores").get_by_role("button", name="model").click()
    assert seen.models() == sorted(LABELS)
    assert seen.orders() == {"model": "ascending"}

    state = seen.page.locator(".memory").get_by_role("button", name="state", exact=True).last
    state.click()
    assert seen.models("memory") == [second, first, long], "a model without a state stays last"
    state.click()
    assert seen.models("memory") == [first, second, long]
    assert seen.models() == sorted(LABELS), "tables are sorted apart from each other"
    assert seen.page.get_by_role("status").text_content() == "Sorted by phone_book, state, ascending."

    assert seen.asked == [file.as_uri()]
    assert seen.complaints == []


def test_a_line_a_model_and_hollow_points_where_truncated(watch: Any) -> None:
    page = watch().page
    heads = page.locator("figure h3").all_text_contents()
    assert heads == [f"{name} by {axis}" for name in ("c4_copy", "phone_book") for axis in AXES]
    assert page.locator("figure:nth-of-type(3) g.model").count() == 3
    assert page.locator("figure:nth-of-type(3) .legend li").count() == 3
    assert page.locator("figure:nth-of-type(4) g.model").count() == 2, "the state of one is unknown"
    hollow = page.locator("figure:nth-of-type(3) g.model .hollow")
    assert hollow.count() == 20
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert hollow.first.evaluate("shape => getComputedStyle(shape).fill") == paper
    colours = page.eval_on_selector_all(
        "figure:nth-of-type(3) g.model", "all => all.map(g => getComputedStyle(g).color)"
    )
    assert len(set(colours)) == 3


def test_a_phone_scrolls_the_table_and_not_the_page(watch: Any) -> None:
    page = watch(viewport={"width": 360, "height": 740}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for table in ("scores", "memory"):
        box = page.locator(f".box:has(.{table})")
        inner, outer = box.evaluate("box => [box.scrollWidth, box.clientWidth]")
        assert inner > outer
        box.evaluate("box => { box.scrollLeft = 500; }")
        assert page.locator(f".{table} tbody th").first.bounding_box()["x"] < 30, "names stay in sight"
    for chart in page.locator("svg.chart").all():
        left, right = chart.bounding_box()["x"], chart.bounding_box()["x"] + chart.bounding_box()["width"]
        for text in chart.locator("text").all():
            place = text.bounding_box()
            assert left - 1 <= place["x"] and place["x"] + place["width"] <= right + 1, text.text_content()
        sizes = chart.locator("text").evaluate_all(
            "all => all.map(t => parseFloat(getComputedStyle(t).fontSize))"
        )
        assert min(sizes) * (right - left) / 440 > 10, "pixels of the charts' type"


def test_both_themes_are_legible(watch: Any) -> None:
    papers = {}
    for scheme, other in (("light", "Dark"), ("dark", "Light")):
        page = watch(color_scheme=scheme).page
        paper = "getComputedStyle(document.body).backgroundColor"
        papers[scheme] = page.evaluate(paper)
        texts, contrast, text = page.evaluate(WORST_CONTRAST)
        assert texts > 100 and contrast >= 4.5, text
        page.get_by_role("button", name=f"{other} colours").click()
        papers[f"{scheme}, switched"] = page.evaluate(paper)
        assert page.evaluate(WORST_CONTRAST)[1] >= 4.5
        assert page.evaluate("localStorage.length + document.cookie.length") == 0
    assert papers["light"] != papers["dark"]
    assert papers["light, switched"] == papers["dark"]
    assert papers["dark, switched"] == papers["light"]


def test_without_scripts_all_but_sorting_is_there(watch: Any) -> None:
    page = watch(java_script_enabled=False).page
    assert page.locator(".scores tbody tr").count() == 3
    assert page.locator("svg.chart g.model").first.is_visible()
    assert page.locator("button:visible").count() == 0, "nothing offers what it cannot do"
