"""Each path, method and media type has its answer, and each request its log line."""

import dataclasses
import json
import os

import pytest

from fraud_utils import artifact
from fraud_utils.serving import App, SettingError, Settings

CSV, JSON = "text/csv", "application/json"
ONE = ",".join(["0"] * 30)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/ping", {}, 200),
        ("HEAD", "/ping", {}, 200),
        ("POST", "/ping", {}, 405),
        ("GET", "/invocations", {}, 405),
        ("GET", "/", {}, 404),
        ("GET", "/execution-parameters", {}, 200),
        ("POST", "/invocations", {}, 415),
        ("POST", "/invocations", {"content": "text/html"}, 415),
        ("POST", "/invocations", {"content": "text/csv; charset=utf-8"}, 200),
        ("POST", "/invocations", {"content": "TEXT/CSV"}, 200),
        ("POST", "/invocations", {"content": CSV, "content_encoding": "gzip"}, 415),
        ("POST", "/invocations", {"content": CSV, "content_encoding": "identity"}, 200),
    ],
)
def test_each_path_method_and_media_type_has_its_status(asked, method, path, headers, status):
    got, answered, text = asked.ask(
        ONE if method == "POST" else "", **({"content": ""} | headers), method=method, path=path
    )
    assert got == status
    assert status == 200 or json.loads(text)["error"]
    assert (status == 405) == ("allow" in answered)


def test_execution_parameters_stay_within_batch_transforms_100_mb(model, asked_of):
    for settings in (Settings(workers=1, limit_mb=6), Settings(workers=64), Settings(workers=300, limit_mb=1)):
        _, _, text = asked_of(App(model, settings)).ask("", method="GET", path="/execution-parameters")
        suggested = json.loads(text)
        assert suggested["MaxConcurrentTransforms"] * suggested["MaxPayloadInMB"] <= 100
        assert suggested["BatchStrategy"] == "MULTI_RECORD"
        assert 1 <= suggested["MaxPayloadInMB"] <= settings.limit_mb


def test_settings_come_from_the_environment_and_sagemakers_zero_is_none():
    given = {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "6", "SAGEMAKER_BIND_TO_PORT": " 80 ", "SAGEMAKER_MODEL_SERVER_WORKERS": ""}
    given |= {"SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "0", "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD"}
    settings = Settings.read(given)
    assert (settings.limit_mb, settings.port, settings.concurrent) == (6, 80, 0)
    assert (settings.workers, settings.strategy) == (len(os.sched_getaffinity(0)), "SINGLE_RECORD")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SAGEMAKER_BIND_TO_PORT", "80a", "is '80a'; it must be a whole number"),
        ("SAGEMAKER_BIND_TO_PORT", "80800", "is 80800; ports end at 65535"),
        ("MAX_CONTENT_LENGTH", "6MB", "is '6MB'; it must be a whole number"),
        ("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "image/png", "is 'image/png'; it must be one of text/csv, "),
        ("SAGEMAKER_INFERENCE_OUTPUT", "probability,logits", "has 'logits'; it takes predicted_label, labels, "),
    ],
)
def test_a_setting_that_cannot_be_acted_on_is_refused(name, value, message):
    with pytest.raises(SettingError, match=f"{name} {message}"):
        Settings.read({name: value})


def test_the_limit_is_the_smaller_of_two():
    for given, limit in (
        ({}, 100 << 20),
        ({"MAX_CONTENT_LENGTH": "1500000"}, 1_500_000),
        ({"MAX_CONTENT_LENGTH": "1500000", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "1"}, 1 << 20),
    ):
        assert Settings.read(given).limit == limit


def test_batch_transform_may_send_a_header_by_itself(model, asked_of, asked):
    """One record a request: the first line of a file, and then rows without names."""
    batch = asked_of(App(model, Settings.read({"SAGEMAKER_BATCH": "true"})))
    header = ",".join(model.layout.columns)
    for accept, nothing in ((CSV, ""), (JSON, '{"predictions": []}')):
        assert batch.ask(header, accept=accept)[::2] == (200, nothing)
    assert batch.score(ONE) == batch.score(f"{header}\n{ONE}") == asked.score(ONE)
    assert asked.error(header)[0] == 400  # nobody but batch transform means that


@pytest.mark.parametrize("change", [lambda names: names[::-1], lambda names: [*names, "Class"]])
def test_a_header_that_does_not_fit_the_rows_of_a_split_file_is_refused_in_batch(model, asked_of, asked, change):
    batch = asked_of(App(model, Settings(batch=True)))
    names = change([*model.layout.columns])
    body = f"{','.join(names)}\n{','.join(['0'] * len(names))}"
    assert asked.ask(body)[0] == 200
    for sent in (body, body.partition("\n")[0]):
        status, error = batch.error(sent)
        assert (status, "order in which rows are read once the file has been split: Time, V1" in error) == (400, True)


def test_one_json_log_line_a_request_without_its_data(asked, capsys):
    value = "123456.789"
    row = ",".join([value] * 30)
    _, headers, _ = asked.ask(f"{row}\n{row}")
    _, refused, text = asked.ask(f"{row},{value}")
    written = capsys.readouterr().out
    first, second = (json.loads(line) for line in written.splitlines())
    assert (first["id"], first["status"], first["rows"]) == (headers["x-request-id"], 200, 2)
    assert (second["id"], second["status"]) == (refused["x-request-id"], 400)
    assert second["id"] == json.loads(text)["id"]
    assert first["ms"] > 0
    assert first["time"].endswith("Z")
    assert value not in written


def test_the_log_counts_alerts_and_names_the_model(base, asked_of, frame, capsys):
    asked = asked_of(App(artifact.load(base / "model"), Settings.read({"FRAUD_MODEL_NAME": "second"})))
    for accept in ("text/csv", "application/json"):
        asked.ask(frame.to_csv(index=False), accept=accept)
    asked.ask(
        frame.to_csv(index=False), accept="application/json", x_amzn_sagemaker_custom_attributes="threshold=never"
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    alerts = int((asked.app.model.score(frame) >= asked.app.model.thresholds["half"]).sum())
    assert [line["alerts"] for line in lines] == [alerts, alerts, 0]
    assert {line["model"] for line in lines} == {"second"}


def test_an_unexpected_error_gives_an_id_that_the_log_explains_and_no_trace(base, asked_of, capsys):
    whole = artifact.load(base / "model")
    broken = dataclasses.replace(whole, booster=None)  # no folder gives such a model, so nothing expects it
    asked = asked_of(App(broken, Settings()))
    for rows in (10, 50_000):  # in one piece, and in several
        status, headers, text = asked.ask("\n".join([ONE] * rows))
        assert (status, json.loads(text)) == (
            500,
            {"error": "internal error; quote the id", "id": headers["x-request-id"]},
        )
        line = json.loads(capsys.readouterr().out)
        assert (line["id"], line["status"], line["error"]) == (headers["x-request-id"], 500, "AttributeError")
        assert ".py:" in line["at"]
