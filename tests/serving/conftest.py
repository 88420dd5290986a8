"""A model of simulated transactions in the tree that SageMaker gives a container, and the app that serves it."""

import json

import numpy as np
import pytest

from fraud_utils import artifact, models
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import ULB
from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.serving import App, Request, Settings


@pytest.fixture(scope="session")
def frame():
    return simulate_transactions(12_000, seed=5)


@pytest.fixture(scope="session")
def base(frame, tmp_path_factory):
    """A tree with a model in it."""
    base = tmp_path_factory.mktemp("tree")
    columns = dict(frame.items())
    features = FeatureMap.fit(ULB, columns)
    X, y = features.matrix(columns), frame.Class.to_numpy()
    booster = models.fit_xgboost(X, y, "undersample 1:10", {"num_round": 60})
    scores = 1 / (1 + np.exp(-booster.inplace_predict(X, predict_type="margin")))
    contents = artifact.Contents(
        schema=ULB.to_dict(),
        columns=[name for name in ULB.columns if name != "Class"],
        features=features,
        kept_share=0.05,
        thresholds={"half": float(np.median(artifact.prior_correction(scores, 0.05))), "never": 1.0},
        decides="half",
        hyperparameters={},
        training={},
    )
    artifact.save(base / "model", booster, contents)
    return base


@pytest.fixture(scope="session")
def model(base):
    return artifact.load(base / "model")


class Asked:
    """An app, asked without a server between."""

    def __init__(self, app):
        self.app = app

    def ask(self, body, content="text/csv", method="POST", path="/invocations", **headers):
        """Status, headers and text of an answer; `x_y` as a header's name stands for x-y."""
        given = {name.replace("_", "-"): value for name, value in headers.items() if value}
        sent = body.encode() if isinstance(body, str) else body
        request = Request(method, path, given | ({"content-type": content} if content else {}), sent)
        status, answered, text = self.app.respond(request)
        return status, dict(answered), text.decode()

    def score(self, body, content="text/csv", accept="text/csv"):
        """Scores of a body that must be answered."""
        status, headers, text = self.ask(body, content, accept=accept)
        assert status == 200, text
        assert headers["content-type"] == accept
        if accept == "text/csv":
            return [float(line) for line in text.splitlines()]
        predictions = json.loads(text)["predictions"] if accept == "application/json" else text.splitlines()
        return [(json.loads(each) if isinstance(each, str) else each)["score"] for each in predictions]

    def error(self, body, content="text/csv", **headers):
        """Status and message of a body that must be refused."""
        status, answered, text = self.ask(body, content, **headers)
        assert answered["content-type"] == "application/json", text
        return status, json.loads(text)["error"]


@pytest.fixture(scope="session")
def asked(model):
    return Asked(App(model, Settings(workers=1, limit_mb=6)))


@pytest.fixture(scope="session")
def asked_of():
    """How to ask another app."""
    return Asked
