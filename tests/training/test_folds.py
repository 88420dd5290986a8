"""Settings judged on folds: the figure is that of notebook 02's search on the same rows, and no model is made."""

import re

import numpy as np
import pandas as pd
import pytest

from fraud_utils.artifact import FeatureMap
from fraud_utils.data import ULB
from fraud_utils.evaluation import Protocol, Rows, tune
from fraud_utils.models import Candidate
from fraud_utils.training.job import train


def judged(job, folder, frame, capsys, **settings):
    """Average precision and rounds in the log of a job with three folds."""
    finished = job(folder, {"folds": "3", "imbalance": "none", **settings}, train={"rows.parquet": frame})
    train(finished.base, lambda: False)
    assert not (finished.base / "model").exists()
    log = capsys.readouterr().out
    (found,) = re.findall(r"\bcv_average_precision:([-+.\deE]+); cv_rounds:([-+.\deE]+);", log)
    assert len(re.findall(r"fold:\d; fold_average_precision:", log)) == 3
    return float(found[0]), float(found[1])


def test_a_job_judges_settings_as_the_search_of_the_notebook_does(job, frame, tmp_path, capsys):
    rows = Rows.of(frame, ULB, FeatureMap.fit(ULB, frame))
    start = Candidate("xgboost", hyperparameters={"num_round": 7, "eta": 0.9, "max_depth": 2})
    # The second trial has the settings of the first, and stops where it is best.
    _, table = tune.tune(rows, Protocol(jobs=1), 2, 1e9, start)
    second = table.loc[1]
    most = str(round(tune.LEARNT / second["eta"]))
    reached, rounds = judged(job, tmp_path, frame, capsys, num_round=most, eta="0.9", max_depth="2", seed="7")
    assert reached == pytest.approx(second["average_precision"], abs=1e-6)
    assert rounds == second["num_round"]


def test_rows_of_one_entity_share_a_fold_where_there_are_no_times(job, tmp_path, capsys):
    """Each card's rows are alike and say nothing of others: whoever parts a card finds its label again."""
    rng = np.random.default_rng(1)
    card = np.repeat(np.arange(300), 4)
    rows = pd.DataFrame({"card": card.astype(str), "a": rng.normal(size=300)[card], "fraud": (card % 10 == 0) * 1})
    schema = '{"name": "cards", "label": "fraud", "time": null, "amount": null, "features": ["a"], "entity": "card"}'
    reached, _ = judged(job, tmp_path, rows, capsys, num_round="60", eta="0.5", schema=schema)
    assert reached < 0.3
