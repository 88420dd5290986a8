"""Rows without history, sent in order of time to an endpoint that keeps it, get the scores that the table has."""

import cards
import numpy as np
import pytest

from fraud_utils import artifact, deploy
from fraud_utils.data import ULB, add_history


@pytest.fixture
def served(deployment, tmp_path):
    """A deployment whose endpoint keeps events, its model and the table."""
    frame = cards.payments(600)
    cards.train(tmp_path / "model", frame)
    artifact.pack(tmp_path / "model", tmp_path / "model.tar.gz")
    bucket, key = deployment.site.place.bucket, f"fraud-detection/{deployment.name}/model.tar.gz"
    deployment.site.connection.s3.upload_file(str(tmp_path / "model.tar.gz"), bucket, key)
    deployment.model_url = f"s3://{bucket}/{key}"
    deployment.serve(deploy.Serving(environment=deploy.history_store(deployment, cards.SCHEMA)))
    return deployment, artifact.load(tmp_path / "model"), add_history(frame, cards.SCHEMA)


def test_the_endpoint_keeps_the_history_that_the_table_has(served):
    deployment, model, whole = served
    test_from = whole.seconds.iloc[-80]
    replayed = deploy.replay(deployment, model, whole, test_from, cards.SCHEMA)
    assert replayed.difference <= 1e-6
    assert replayed.rows == (whole.seconds >= test_from).sum()
    past = whole[
        whole.seconds.between(test_from - 9 * cards.DAY, test_from, inclusive="left")
    ]  # windows, and the delay
    assert 0.9 * len(past) < replayed.before <= len(past)  # but for those of other cards and merchants
    assert f"about the first {replayed.rows} of the test set" in replayed.describe()
    changed = whole[whole.seconds >= test_from].assign(amount=1)
    again = deployment.endpoint.score(changed.drop(columns=[*cards.COLUMNS]))
    assert np.abs(again - model.score(changed)).max() > 1e-6  # the store has the amounts that came first


def test_only_a_table_with_history_is_given_a_store_and_the_one_that_is_named(deployment):
    assert deploy.history_store(deployment, ULB, "sqlite:/a/file") == {}
    assert deploy.history_store(deployment, cards.SCHEMA, "dynamodb:fraud-x") == {"FRAUD_HISTORY": "dynamodb:fraud-x"}
