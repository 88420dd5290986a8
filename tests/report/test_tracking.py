"""A finished run in MLflow: what gets there, and that no run is lost where MLflow cannot be reached."""

import socket

import pytest
from records import RUN

from fraud_utils import record
from fraud_utils.report import tracking


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A finished run; what the module sets in the environment is undone."""
    for name, value in (tracking.PATIENCE | {"MLFLOW_DISABLE_TELEMETRY": "true"}).items():
        monkeypatch.setenv(name, value)
    run = tmp_path / "runs/one"
    (run / "figures").mkdir(parents=True)
    record.save(run, RUN)
    (run / "figures/savings.png").write_bytes(b"a figure")
    return run


def test_nothing_is_sent_where_no_address_is_set(folder, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking.send(folder, RUN)
    assert capsys.readouterr() == ("", "")


def test_mlflow_gets_parameters_metrics_and_files(folder, tmp_path, monkeypatch, capsys):
    import mlflow  # here, since every worker collects this file

    address = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.chdir(tmp_path)
    tracking.send(folder, RUN)
    assert f"MLflow at {address} has this run too" in capsys.readouterr().err
    client = mlflow.MlflowClient(address)
    [kept] = client.search_runs([client.get_experiment_by_name("fraud-detection").experiment_id])
    assert (kept.info.run_name, kept.info.status) == ("one", "FINISHED")
    assert kept.data.tags["data.sha256"] == "0" * 64 and kept.data.tags["simulated"] == "False"
    parameters = {"seed": "7", "review_cost": "3.0", "profile": "quick", "data": "mine.csv", "chosen": "boosted trees",
                  "chosen.eta": "0.1"}  # fmt: skip
    assert kept.data.params == parameters  # an empty schema is left out
    measured = kept.data.metrics
    assert (
        measured["seconds/total"] == 83 and measured["endpoint/p99"] == 9 and measured["chosen/thresholds/f1"] == 0.25
    )
    for model in RUN.models:
        for part in ("oof", "test"):
            for name in ("average_precision", "precision", "brier", "savings"):
                value, bounds = getattr(model, part).figure(name)
                for group in [f"candidates/{model.name.replace(',', ' ').replace('  ', ' ')}/{part}"] + [
                    f"chosen/{part}"
                ] * (model == RUN.served):
                    assert measured.get(f"{group}/{name}") == value
                    ends = (measured.get(f"{group}/{name}_low"), measured.get(f"{group}/{name}_high"))
                    assert ends == (bounds or (None, None))
    assert {file.path for file in client.list_artifacts(kept.info.run_id)} == {"metrics.json", "figures"}
    assert client.list_artifacts(kept.info.run_id, "figures")


def test_an_mlflow_that_is_not_there_loses_no_run_and_no_password_is_printed(folder, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = f"http://user:secret@127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nobody)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracking.send(folder, RUN)
    errors = capsys.readouterr().err
    assert errors.count("warning: MLflow at http://127.0.0.1:") == 1
    assert f"is complete in {folder.as_posix()}" in errors
    assert "secret" not in errors and "Traceback" not in errors
