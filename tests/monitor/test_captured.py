"""Captured requests as SageMaker writes them: every payload that the endpoint takes, and what cannot be read."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from monitored import SHOP, record, saved, shop_rows

from fraud_utils.data import DataError
from fraud_utils.monitor import captured
from fraud_utils.monitor.apart import OWN, REPEATED
from fraud_utils.monitor.captured import read_captured
from fraud_utils.project import own_request
from fraud_utils.serving.answers import Usual, Wanted
from fraud_utils.serving.app import App, Request, Settings


def read(path, model):
    """The columns of all pieces, ids, scores, and reasons of refusals with their rows."""
    pieces = list(read_captured(path, model.layout))
    frame = pd.concat(
        [
            pd.DataFrame({**piece.columns, "id": piece.identity, "score": piece.score})
            for piece in pieces
            if piece.columns
        ]
        or [pd.DataFrame()]
    )
    return frame, {each.why: each.rows for piece in pieces for each in piece.refused}


def bodies(frame: pd.DataFrame) -> dict[str, tuple[str, str, str]]:
    """The same rows in every form: body, answer, media type."""
    rows = json.loads(frame.to_json(orient="records"))
    scores = [0.25, 0.5, 0.75][: len(frame)]
    objects = "".join(json.dumps({"score": score, "fraud": False}) + "\n" for score in scores)
    lists = json.dumps({"instances": [list(row.values()) for row in rows]})
    lines, answer = (
        "".join(f"{score}\n" for score in scores),
        json.dumps({"predictions": [{"score": s} for s in scores]}),
    )
    return {
        "csv": (frame.to_csv(index=False, header=False), lines, "text/csv"),
        "csv with names": (frame.to_csv(index=False), lines, "text/csv; charset=utf-8"),
        "json": (json.dumps({"instances": rows}), answer, "application/json"),
        "json lists": (lists, json.dumps(scores), "application/json"),
        "json lines": ("".join(json.dumps(row) + "\n" for row in rows), objects, "application/jsonlines"),
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["BASE64", "CSV", "JSON"])
@pytest.mark.parametrize("form", ["csv", "csv with names", "json", "json lists", "json lines"])
def test_rows_come_back_as_they_were_sent_whatever_their_form(shop, capture, form, encoding):
    frame = shop_rows(3, 5).drop(columns="fraud")
    body, answer, media = bodies(frame)[form]
    line = record(body, answer, media, encoding, inferenceId="payment")
    read_back, refused = read(capture(line), shop)
    assert refused == {}
    assert read_back["id"].tolist() == ["payment/1", "payment/2", "payment/3"]
    assert read_back["score"].tolist() == [0.25, 0.5, 0.75]
    for name in ("a", "b", "total"):
        np.testing.assert_allclose(read_back[name].to_numpy(float), frame[name], rtol=1e-9)
    assert [value if isinstance(value, str) else None for value in read_back["channel"]] == [
        value if isinstance(value, str) else None for value in frame["channel"]
    ]


@pytest.mark.parametrize("media", ["text/csv", "application/json", "application/jsonlines"])
def test_an_id_that_comes_back_with_the_score_is_not_taken_for_it(tmp_path, capture, media):
    rows = shop_rows(500, 1)
    rows.insert(1, "payment", [f'{number},"eu"' if number % 2 else str(number) for number in range(len(rows))])
    model = saved(tmp_path / "model", replace(SHOP, id="payment"), rows, rows, ["b", "channel"])
    sent = rows.drop(columns="fraud").iloc[:4]
    _, (answer, _) = Wanted.read({}, media, model, Usual()).write(
        model, sent.assign(channel=sent["channel"].astype(object))
    )
    answer = b'{"predictions": [%b]}' % answer if media == "application/json" else answer
    read_back, refused = read(capture(record(sent.to_csv(index=False), answer.decode())), model)
    assert refused == {}
    assert read_back["score"].tolist() == model.score(sent).tolist()


def test_many_requests_of_all_forms_are_read_together_in_any_order(shop, capture):
    lines, sent = [], []
    for number in range(40):
        row = shop_rows(1, number).drop(columns="fraud")
        body, answer, media = list(bodies(row).values())[number % 5]
        lines.append(record(body, answer.replace("0.25", str(number / 100)), media, inferenceId=f"p{number}"))
        sent.append(row["a"].iloc[0])
    frame, refused = read(capture(*lines), shop)
    frame = frame.set_index("id").loc[[f"p{number}" for number in range(40)]]
    assert refused == {}
    np.testing.assert_allclose(frame["a"], sent)
    np.testing.assert_allclose(frame["score"], np.arange(40) / 100)


def test_what_cannot_be_read_is_counted_with_the_reason_and_spoils_nothing_else(shop, capture):
    good = record("1,2,3,web,4\n", "0.5\n", inferenceId="good")
    path = capture(
        good,
        "{not json",
        record("1,2,3,web,4\n", None),  # no answer
        record("1,x,3,web,4\n", "0.5\n"),  # text for a number
        record("1,2,3\n", "0.5\n"),
        record("1,2,3,web,4\n", "0.5\n0.5\n"),
        record('{"instances": 1}', "[0.5]", "application/json"),
        record('{"instances": [{"aa": 1}]}', "[0.5]", "application/json"),
        record("1,2,3,web,4\n", "no number\n"),
        record(",,3,web,4\n", None),
    )
    frame, refused = read(path, shop)
    assert frame["id"].tolist() == ["good"]
    assert sum(refused.values()) == 10  # one answer had two
    reasons = " | ".join(refused)
    for part in (
        "not what data capture writes",
        "no answer was captured",
        "not a number",
        "3 values; expected 5",
        "1 rows were sent and 2 scores came back",
        "'aa' is unknown; did you mean 'a'?",
        "the answer holds no scores",
        "column 'a': the value is missing",
    ):
        assert part in reasons


BAD = {
    "a lone return": ('1,2,3,"web",4\r1,2,3,"web",4\r', "text/csv", 2),
    "a number out of range": ('{"instances": [[1, 2, 3, "web", 1%s]]}' % ("0" * 400), "application/json", 1),
    "more digits than Python reads": ('{"instances": [[1, 2, 3, "web", 1%s]]}' % ("0" * 5_000), "application/json", 1),
    "brackets without an end": ('{"instances": %s' % ("[" * 100_000), "application/json", 1),
    "a list for text": ('{"instances": [[1, 2, 3, ["web"], 4], [1, 2, 3, ["web"], 4]]}', "application/json", 2),
    "a column twice": ("a,a,total\n1,2,3\n", "text/csv", 1),
    "nothing": ("", "text/csv", 1),
}


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_one_bad_request_is_refused_and_the_others_are_read(shop, capture, name, answered):
    body, media, rows = BAD[name]
    good = [record("1,2,3,web,4\n", "0.5\n", inferenceId=f"good{number}") for number in range(3)]
    bad = record(body, "0.5\n" * 7 if answered else None, media, inferenceId="bad")
    frame, refused = read(capture(*good[:2], bad, good[2]), shop)
    assert frame["id"].tolist() == ["good0", "good1", "good2"]
    assert list(refused.values()) == [7 if answered else rows]


DAMAGE = {
    "captureData": {"captureData": 5},
    "eventMetadata": {"eventMetadata": "2026"},
    "time": {"eventMetadata": {"eventId": "e", "inferenceTime": None}},
    "input": {"captureData": {"endpointInput": "1,2,3,web,4"}},
    "data": {"captureData": {"endpointInput": {"data": None, "encoding": "CSV"}}},
    "no data": {"captureData": {"endpointInput": {"encoding": "CSV"}}},
    "output": {"captureData": {"endpointInput": {"data": "1,2,3,web,4", "encoding": "CSV"}, "endpointOutput": [0.5]}},
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_line_that_is_not_as_data_capture_writes_it_is_refused(shop, capture, name):
    good = record("1,2,3,web,4\n", "0.5\n", inferenceId="good")
    frame, refused = read(capture(json.dumps(json.loads(good) | DAMAGE[name]), good), shop)
    assert frame["id"].tolist() == ["good"]
    assert refused == {"the line is not what data capture writes": 1}


def test_a_request_that_was_refused_has_all_its_rows_and_the_endpoints_reason(shop, capture):
    app = App(shop, Settings(workers=1))

    def asked(body: str, media: str) -> str:
        status, _, answer = app.respond(Request("POST", "/invocations", {"content-type": media}, body.encode()))
        assert status == 400
        return record(body, answer.decode(), media)

    path = capture(
        asked('{"instances": [[1, 2, 3, "web", 4], [1, null, 3, "web", 4], [1, 2, 3, "web", 4]]}', "application/json"),
        asked("when,a,b,channel,total\n1,2,3,web,4\n1,x,3,web,4\n", "text/csv"),
        record("1,2,3,web,4\n" * 4, "<html>Bad gateway</html>"),
    )
    _, refused = read(path, shop)
    assert refused == {
        "column 'a': the value is missing, and training rows had none missing": 3,
        "column 'a': text where a number is needed": 2,
        "the answer holds no scores": 4,
    }


@pytest.mark.parametrize("encoding", ["BASE64", "CSV"])
@pytest.mark.parametrize(
    "body",
    [
        "a, total, b, channel\n2,4,3,web\n",
        " channel,b ,total, a\r\nweb,3,4,2\r\n",
        '"a", total,"b",channel\n2,4,3,web\n',
        "\ufeffwhen,a,b,channel,total\n1,2,3,web,4\n",
        "\ufeff1,2,3,web,4\n",
        "\n\na,total,b,channel\n2,4,3,web\n",
    ],
)
def test_a_csv_that_is_served_is_read_as_it_was_served(shop, capture, body, encoding):
    status, _, answer = App(shop, Settings(workers=1)).respond(
        Request("POST", "/invocations", {"content-type": "text/csv"}, body.encode())
    )
    frame, refused = read(capture(record(body, answer.decode(), encoding=encoding)), shop)
    assert (status, refused) == (200, {})
    row = frame.iloc[0]
    assert (row["a"], row["b"], row["channel"], row["total"], row["score"]) == (2, 3, "web", 4, float(answer))


def test_json_with_a_byte_order_mark_is_read_as_it_was_served(shop, capture):
    frame, refused = read(capture(record('\ufeff{"instances": [[1, 2, 3, "web", 4]]}', "[0.5]", "text/json")), shop)
    assert (frame["score"].tolist(), refused) == ([0.5], {})


def apart(path, model):
    return sum((piece.apart for piece in read_captured(path, model.layout)), Counter())


def test_what_this_project_asked_itself_is_left_out_and_counted(shop, capture):
    path = capture(
        record("1,2,3,web,4\n1,2,3,web,4\n", "0.5\n0.5\n", inferenceId=own_request()),
        record("1,,3,web,4\n", None, inferenceId=own_request()),
        record("1,2,3,web,4\n", "0.25\n", inferenceId="payment"),
    )
    frame, refused = read(path, shop)
    assert (frame["id"].tolist(), refused) == (["payment"], {})
    assert apart(path, shop) == {OWN: 2}


def test_a_row_that_comes_again_counts_once_across_files_and_pieces(shop, capture, monkeypatch):
    monkeypatch.setattr(captured, "PIECE", 2)
    one, three = "1,2,3,web,4\n", "1,2,3,web,4\n1,5,3,web,4\n1,6,3,web,4\n"
    json_row = '{"instances": [[1, 2, 3, "web", 4]]}'
    capture(
        record(one, "0.6\n", inferenceTime="2026-01-05T10:00:01Z", inferenceId="p3"),
        record(json_row, "[0.5]", "application/json", inferenceId="p3"),  # written later, asked first
        record(one, "0.5\n", inferenceId="p1"),
        record(one, None, inferenceId="p2"),  # failed, and tried again
        record(three, "0.1\n0.2\n0.3\n", inferenceId="many"),
    )
    again = [
        record(one, "0.5\n", inferenceId="p1", eventId="other"),
        record(one, "0.5\n", inferenceId="p2"),
        record(three + one, "0.1\n0.2\n0.3\n0.4\n", inferenceId="many"),
    ]
    path = capture(*again, again[0], record(one, "0.9\n"), record(one, "0.9\n"), hour="2026/01/06/10")
    frame, refused = read(path, shop)
    assert sorted(frame["id"]) == ["e", "e", "many/1", "many/2", "many/3", "many/4", "p1", "p2", "p3"]
    assert frame.set_index("id")["score"]["p3"] == 0.5
    assert refused == {"no answer was captured": 1}
    assert apart(path, shop) == {REPEATED: 6}


def test_captures_of_two_endpoints_in_one_folder_are_refused_by_name(shop, capture):
    line = record("1,2,3,web,4\n", "0.5\n")
    capture(line, endpoint="old")
    path = capture(line, endpoint="new")
    with pytest.raises(DataError, match=r"2 endpoints or variants \(new/AllTraffic, old/AllTraffic\); name one"):
        read(path, shop)
    assert len(read(path / "new", shop)[0]) == 1


@pytest.mark.parametrize(
    ("name", "part"), [("nowhere", "no such file or folder"), ("empty", "no .jsonl file is there")]
)
def test_nothing_to_read_is_said(shop, tmp_path, name, part):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=part):
        read(tmp_path / name, shop)
