"""Fixtures that several test files share."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from states import HANGS

# A deadline would fail on a slow machine; `make test-long` asks for five times as many.
hypothesis.settings.register_profile("default", deadline=None, max_examples=100)
hypothesis.settings.register_profile("long", deadline=None, max_examples=500)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

if "PYTEST_XDIST_WORKER" in os.environ:  # a worker a core: what a test starts fits and scores on one
    os.environ |= {"LOKY_MAX_CPU_COUNT": "1", "OMP_NUM_THREADS": "1"}

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a shell's background job: Ctrl-C is tested all the same
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
LONGEST = {"notebooks", "deploy", "report", "training", "local_sagemaker"}  # folders of tests
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: each stays on one core (--dist loadfile), where tests share fixtures.

    Groups that cross or split files (--dist loadgroup) do nothing with pytest-xdist 3.8 and pytest 9.2.
    """
    items.sort(key=lambda item: item.path.parent.name not in LONGEST)


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
        pytest.skip("no Chromium on the PATH (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser, run: Path):
    """Opens a page of the folder that a test file calls `run`.

    At the end no message was logged, nothing was requested from the network and nothing failed.
    """
    faults: list[str] = []
    contexts = []

    def open_page(name: str, width: int = 1100, **settings: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **settings)
        context.set_default_timeout(HANGS * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lambda request: faults.append(f"failed: {request.url}"))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else faults.append(r.url))
        page.goto((run / name).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
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
