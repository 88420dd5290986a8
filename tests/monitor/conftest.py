"""A model as the training job saves it, rows that it has not seen, and captures of its answers."""

from pathlib import Path

import monitored
import pytest

from fraud_utils import monitor
from fraud_utils.data import ULB, split_transactions
from fraud_utils.data.simulate import simulate_transactions


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Of 80,000 simulated transactions, as the embedded default has them; the last fifth was held out."""
    split = split_transactions(simulate_transactions(80_000, seed=7), ULB)
    return monitored.saved(tmp_path_factory.mktemp("run") / "model", ULB, split.train, split.test)


@pytest.fixture(scope="session")
def unseen():
    """Rows that the model has not learned from."""
    return simulate_transactions(100_000, seed=8)


@pytest.fixture(scope="session")
def pools(model, unseen):
    return monitor.pools(unseen, model, ULB)


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """A model with an optional number and an optional text."""
    folder = tmp_path_factory.mktemp("shop") / "model"
    return monitored.saved(
        folder, monitored.SHOP, monitored.shop_rows(4_000, 1), monitored.shop_rows(2_000, 2), ["b", "channel"]
    )


@pytest.fixture
def capture(tmp_path):
    """Writes lines into the tree that SageMaker makes."""

    def write(*lines: str, hour: str = "2026/01/05/10", endpoint: str = "fraud") -> Path:
        folder = tmp_path / "captured" / endpoint / "AllTraffic" / hour
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.iterdir()))
        (folder / f"00-00-{number:03d}-x.jsonl").write_text("".join(f"{line}\n" for line in lines))
        return tmp_path / "captured"

    return write
