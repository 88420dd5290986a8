"""Fixtures that several test files share."""

import gc
import itertools
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, sync_playwright
from states import HANGS
from xdist.scheduler import LoadScopeScheduling

# A deadline would fail on a slow machine; `make test-long` asks for five times as many.
hypothesis.settings.register_profile("default", deadline=None, max_examples=100)
hypothesis.settings.register_profile("long", deadline=None, max_examples=500)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

if "PYTEST_XDIST_WORKER" in os.environ:  # a worker a core: what a test starts fits and scores on one
    os.environ |= {"LOKY_MAX_CPU_COUNT": "1", "OMP_NUM_THREADS": "1"}

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a shell's background job: Ctrl-C is tested all the same
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
LONGEST = {"notebooks", "deploy", "report", "training", "local_sagemaker", "serving"}  # folders of tests
TOGETHER = {"deploy", "local_sagemaker", "serving"}  # folders whose files share a server or a model
BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")  # the first takes a fifth less of a processor
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", help="K/N: only every N-th file, from the K-th on; the N parts together are all tests")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for garbage less often: what tests import stays to the end, and a search of it all takes up to .4 s."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(20_000, 20, 10)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    items.sort(key=lambda item: item.path.parent.name not in LONGEST)
    if part := config.getoption("part"):
        place, parts = map(int, part.split("/"))
        kept = {*sorted({item.path for item in items})[place - 1 :: parts]}
        config.hook.pytest_deselected(items=[item for item in items if item.path not in kept])
        items[:] = [item for item in items if item.path in kept]


class OneCoreEach(LoadScopeScheduling):
    """A file of tests stays on one core, where they share fixtures, and so do the files of some folders.

    Marks that say so (--dist loadgroup) do nothing with pytest-xdist 3.8 and pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        return file.parent.name if file.parent.name in TOGETHER else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneCoreEach:
    return OneCoreEach(config, log)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The ULB file, from FRAUD_DATA or beside the repository; CI refuses to go without it."""
    path = Path(os.environ.get("FRAUD_DATA") or ROOT.parent / "shared" / "data" / "creditcard.csv.zip")
    if not path.is_file():
        if os.environ.get("CI"):
            pytest.fail(f"{path}: the real data is needed in CI; set FRAUD_DATA")
        pytest.skip(f"{path}: no such file; set FRAUD_DATA to run on the real data")
    return path


@pytest.fixture(scope="module")  # no longer: while it runs nothing else in this process can use asyncio
def browser():
    if not CHROMIUM:
        assert not os.environ.get("CI"), "CI has to have Chromium; .ci/run installs it"
        pytest.skip(f"no Chromium on the PATH (Debian: apt install {BROWSERS[0]})")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class Tabs:
    """Pages that tests use one after another, as many as one test wants; a new one takes what three loads take."""

    def __init__(self, browser: Browser, empty: Path) -> None:
        empty.write_text("<!DOCTYPE html><title>Empty</title>")
        self.empty = empty.as_uri()  # a file like those that follow, so that the browser stays in one process
        self.context = browser.new_context(offline=True)
        self.context.set_default_timeout(HANGS * 1000)
        self.pages: list[Page] = []
        self.faults: list[str] = []

    def failed(self, request: Request) -> None:
        """What could not be loaded; not what the tab was about to load when it went elsewhere."""
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"failed: {request.url} ({request.failure})")

    def page(self, place: int) -> Page:
        while len(self.pages) <= place:
            page = self.context.new_page()
            page.on("console", lambda message: self.faults.append(message.text))
            page.on("pageerror", lambda error: self.faults.append(str(error)))
            page.on("requestfailed", self.failed)
            page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else self.faults.append(r.url))
            page.goto(self.empty)
            self.pages.append(page)
        return self.pages[place]


@pytest.fixture(scope="module")
def tabs(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Tabs:
    return Tabs(browser, tmp_path_factory.mktemp("empty") / "empty.html")


@pytest.fixture
def opened(tabs: Tabs, run: Path):
    """Opens a page of the folder that a test file calls `run`.

    At the end no message was logged, nothing was requested from the network and nothing failed.
    """
    count = itertools.count()

    def open_page(name: str, width: int = 1100, color_scheme: Any = "light") -> Page:
        page = tabs.page(next(count))
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(media="null", color_scheme=color_scheme)
        page.mouse.move(0, 0)
        page.goto((run / name).as_uri())
        return page

    yield open_page
    for page in tabs.pages:  # leaves nothing of this test: what was typed, opened, scrolled to, or is still at work
        page.goto(tabs.empty)
    faults, tabs.faults = tabs.faults, []
    assert faults == []


@pytest.fixture(scope="session")
def serious_faults():
    """What axe finds wrong with a page: the rule, the element, and how to fix it."""

    def find(page: Page) -> list[tuple[str, list[str], str]]:
        return [
            (fault["id"], node["target"], node["failureSummary"])
            for fault in Axe().run(page).response["violations"]
            for node in fault["nodes"]
            if fault["impact"] in ("serious", "critical")
        ]

    return find
