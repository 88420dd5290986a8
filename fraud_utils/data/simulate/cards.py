"""Who: cards of very different activity; the frauds of a day fall on few of them."""

import numpy as np
import pandas as pd

from fraud_utils.data.simulate.streams import generator


class Cards:
    """The cards of one simulation, so that all its chunks draw from the same."""

    def __init__(self, rows: int, days: int, plan: np.random.Generator) -> None:
        count = max(10, round(rows / (1.5 * days)))
        self.activity = np.cumsum(plan.lognormal(0, 1, count))
        self.seed = int(plan.integers(2**31))

    def draw(self, frame: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """A card (int64) for each row."""
        card = np.searchsorted(self.activity, rng.random(len(frame)) * self.activity[-1])
        day = (frame["Time"].to_numpy() // 86_400).astype(int)
        fraud = np.flatnonzero(frame["Class"].to_numpy() == 1)
        for each in np.unique(day[fraud]):
            today = fraud[day[fraud] == each]
            number = max(1, self.activity.size // 500)
            stolen = generator(self.seed, int(each)).integers(self.activity.size, size=number)
            card[today] = rng.choice(stolen, today.size)
        # A copy is the same card's.
        first = ~frame[["Time", "V1", "V2", "Amount"]].duplicated().to_numpy()
        if not first.all():
            group = frame.groupby(["Time", "V1", "V2", "Amount"], sort=False).ngroup().to_numpy()
            card = card[np.flatnonzero(first)][group]
        return card.astype("int64")
