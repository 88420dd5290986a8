"""Rows in any form that the contract allows are scored as in process; what cannot be scored is named."""

import base64
import gzip
import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud_utils import artifact, models
from fraud_utils.artifact import FeatureMap, RowError
from fraud_utils.data import ULB, Schema
from fraud_utils.serving import App, Settings, bodies
from fraud_utils.serving.answers import RequestError

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"
COLUMNS = [name for name in ULB.columns if name != "Class"]
HEAD, ONE = ",".join(COLUMNS), ",".join(["0"] * 30)
OBJECT = dict.fromkeys(COLUMNS, 0)


FORMS = {  # how rows may be written; the columns of a frame come in any order
    "csv": (CSV, lambda frame: frame.to_csv(index=False)),
    "csv of Excel": (
        CSV,
        lambda frame: ("\ufeff" + frame.to_csv(index=False, lineterminator="\r\n", quoting=1)).encode(),
    ),
    "csv without header": (CSV, lambda frame: frame[COLUMNS].to_csv(index=False, header=False)),
    "csv without a last line's end": (CSV, lambda frame: frame[COLUMNS].to_csv(index=False, header=False).rstrip("\n")),
    "json objects": (JSON, lambda frame: json.dumps({"instances": frame.to_dict("records")})),
    "json lists": (JSON, lambda frame: json.dumps({"instances": frame[COLUMNS].to_numpy().tolist()})),
    "lines of objects": (LINES, lambda frame: "".join(json.dumps(row) + "\n" for row in frame.to_dict("records"))),
    "lines of lists": (LINES, lambda frame: "\n".join(map(json.dumps, frame[COLUMNS].to_numpy().tolist()))),
}


@pytest.fixture(scope="module")
def scores(frame, model):
    return model.score(frame)


@given(
    accept=st.sampled_from([CSV, JSON, LINES]),
    form=st.sampled_from(sorted(FORMS)),
    where=st.builds(
        lambda first, size: slice(first, first + size), st.integers(0, 11_000), st.sampled_from([1, 2, 7, 200])
    ),
    order=st.permutations(ULB.columns) | st.permutations(COLUMNS),
)
def test_any_way_of_sending_rows_gives_the_scores_of_the_model(asked, frame, scores, accept, form, where, order):
    rows = frame.iloc[where]
    content, write = FORMS[form]
    np.testing.assert_allclose(asked.score(write(rows[order]), content, accept), scores[where], rtol=0, atol=1e-6)


@pytest.mark.parametrize("forgotten", COLUMNS)
def test_rows_without_names_that_forget_a_column_are_never_scored(asked, asked_of, model, frame, forgotten):
    batch = asked_of(App(model, Settings(batch=True)))
    rows = frame[[name for name in COLUMNS if name != forgotten]].head(400)
    lists = rows.to_numpy().tolist()
    bodies = {
        rows.head(1).to_csv(index=False, header=False): CSV,  # a line a request, as batch transform may send them
        rows.to_csv(index=False, header=False): CSV,  # many lines, read by Arrow
        json.dumps({"instances": lists[:2]}): JSON,
        "\n".join(map(json.dumps, lists[:2])): LINES,
    }
    for (body, content), app in itertools.product(bodies.items(), (asked, batch)):
        status, error = app.error(body, content)
        assert (status, "row 1 has 29 values; expected 30 (Time, V1, V2, ... Amount)" in error) == (400, True), error


@pytest.mark.parametrize("accept", [CSV, JSON, LINES])
def test_a_long_body_is_scored_in_pieces_as_it_is_in_one(asked, frame, model, accept):
    rows = frame.head(2500)  # 1.3 MB
    expected = model.score(rows)
    plain = rows[COLUMNS].to_csv(index=False, header=False)
    middle = plain.index("\n", len(plain) // 2) + 1
    for body in (
        plain,
        "\ufeff" + rows.to_csv(index=False, lineterminator="\r\n"),
        rows.to_csv(index=False, quoting=1),
        plain[:middle] + "\n\r\n" + plain[middle:].rstrip("\n"),
        plain.replace("\n", " \n", 750) + "\n" * 90_000,  # Arrow's parser takes no blank after a number
    ):
        np.testing.assert_array_equal(asked.score(body, CSV, accept), expected)
        np.testing.assert_array_equal(asked.score(memoryview(body.encode()), CSV, accept), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({9999: "x"}, "row 10000, column 'Amount': text where a number"),
        ({200: "inf", 9000: "x"}, "row 201, column 'Amount': the value is infinite"),
        ({6000: ""}, "row 6001, column 'Amount': the value is missing"),
        ({3000: "1,2"}, "row 3001 has 31 values; expected 30"),
        ({"V7": "v7"}, "did you mean 'V7'"),
    ],
)
def test_the_first_row_that_cannot_be_scored_is_named_in_whichever_piece_it_lies(model, change, message):
    lines = [HEAD.replace("V7", change.get("V7", "V7")), *(ONE[:-1] + change.get(i, "0") for i in range(10_000))]
    for body in ("\n".join(lines), "\n".join(lines[1:]))[: 1 if "V7" in change else 2]:
        with pytest.raises((RequestError, RowError), match=message):
            pieced(body.encode(), model)


def pieced(body, model, size=20_000):
    """Scores of a CSV body taken in pieces of so many bytes."""

    def use(rows, first):
        scores = model.score(rows, first)
        return len(scores), scores

    return np.concatenate([scores for _, scores in bodies.each_piece(body, model.layout, use, size)])


SLIPS = [*"\t\"\r\n ,+_\0é\ufeffe.-'#\x85\u2028\x1c", '""', "\r\n", "\n\n", ",,", '"\n', '\n"', '",', ',"']
SLIPS += ["NA", "1e400", "nan", "inf", "0x1", "1_0", "1" * 400]


def test_a_return_without_a_new_line_ends_no_row(frame, model):
    """Arrow takes it for a line's end, Python's reader for a mistake: pieces must not decide which."""
    body = frame.head(100).to_csv(index=False, header=False, columns=COLUMNS)
    at = body.index("\n", 3_000)
    for spoilt in (body[:at] + "\r" + body[at + 1 :], body.replace("\n", "\r")):
        with pytest.raises(RequestError, match="not CSV"):
            pieced(spoilt.encode(), model)
        with pytest.raises(RequestError, match="not CSV"):
            bodies.parse(spoilt.encode(), CSV, model.layout)
    windows = body.replace("\n", "\r\n")
    np.testing.assert_array_equal(pieced(windows.encode(), model), pieced(body.encode(), model))


@pytest.mark.parametrize("slip", ['"{}"1', '"{}" ', '"{}"""1', '"{}\n'])
def test_a_value_goes_on_neither_before_nor_after_its_quotes(frame, model, slip):
    lines = frame.head(500).to_csv(index=False, header=False, columns=COLUMNS).splitlines()
    first, rest = lines[200].split(",", 1)
    lines[200] = f"{slip.format(first)},{rest}"
    body = "\n".join(lines).encode()
    for take in (lambda: pieced(body, model), lambda: bodies.parse(body, CSV, model.layout)):
        with pytest.raises(RequestError):
            take()
    lines[200] = f'"{first}",{rest}'
    scores = pieced("\n".join(lines).encode(), model)
    np.testing.assert_array_equal(scores, model.score(frame.head(500)))


@given(st.data())
def test_a_body_with_slips_is_taken_or_refused_alike_in_pieces_and_in_one(frame, model, data):
    body = frame.head(100).to_csv(index=False, header=data.draw(st.booleans()), columns=COLUMNS)
    for _ in range(data.draw(st.integers(1, 4))):
        at, length = data.draw(st.integers(0, len(body))), data.draw(st.sampled_from([0, 0, 1, 3]))
        body = body[:at] + data.draw(st.sampled_from(SLIPS)) + body[at + length :]
    try:
        expected = model.score(bodies.parse(body.encode(), CSV, model.layout))
    except (RequestError, RowError):
        with pytest.raises((RequestError, RowError)):
            pieced(body.encode(), model, 10_000)
    else:
        np.testing.assert_array_equal(pieced(body.encode(), model, 10_000), expected)


@pytest.fixture(scope="module")
def shop(tmp_path_factory, asked_of):
    """An app whose model has texts, and numbers that may be missing; rows for it, and their scores."""
    folder = tmp_path_factory.mktemp("shop")
    schema = Schema(name="shop", label="fraud", time="when", amount=None, features=("a",), categorical=("shop",))
    rng = np.random.default_rng(3)
    shops = ['"Sun"\n& Sons', "a,b", "\n\n", "plain"]
    rows = pd.DataFrame({"when": np.arange(9000.0), "a": rng.normal(size=9000), "shop": rng.choice(shops, 9000)})
    rows["fraud"] = ((rows.a > 0.5) & (rows["shop"] == shops[0])).astype(int)
    rows.loc[::7, "a"] = np.nan
    features = FeatureMap.fit(schema, dict(rows.items()))
    contents = artifact.Contents(
        schema=schema.to_dict(),
        columns=["when", "a", "shop"],
        features=features,
        may_be_missing=["a"],
        thresholds={"half": 0.5},
        decides="half",
        hyperparameters={},
        training={},
    )
    X = features.matrix(dict(rows.items()))
    artifact.save(folder, models.fit_xgboost(X, rows.fraud.to_numpy(), "none", {"num_round": 9}), contents)
    model = artifact.load(folder)
    return asked_of(App(model, Settings())), rows, model.score(rows)


def test_text_may_hold_line_ends_in_a_long_body(shop):
    asked, rows, expected = shop
    np.testing.assert_array_equal(asked.score(rows.to_csv(index=False)), expected)
    np.testing.assert_array_equal(pieced(rows.to_csv(index=False).encode(), asked.app.model), expected)


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        (b"nan(1),4.0,plain,0", False),  # as C spells it
        (b"1.0,4.0,plain,caf\xe9", False),  # not UTF-8, in a column that no model reads
        (b"\xef\xbb\xbf1.0,4.0,plain,0", False),  # a byte order mark that is not the body's first
        (b"1.0,4.0," + b"x" * 200_000 + b",0", True),
    ],
)
def test_what_two_parsers_read_in_two_ways_is_taken_or_refused_alike_in_pieces_and_in_one(shop, line, taken):
    model = shop[0].app.model
    lines = [b"a,when,shop,fraud", *(b"1.0,%d.0,plain,0" % number for number in range(20))]
    body = b"\n".join([*lines[:5], line, *lines[5:]])
    for take in (lambda: pieced(body, model, 1), lambda: model.score(bodies.parse(body, CSV, model.layout))):
        if taken:
            assert len(take()) == 21
        else:
            with pytest.raises((RequestError, RowError)):
                take()


@pytest.mark.parametrize("spelling", ["", "NA", "NaN", "null", "#N/A", "-nan"])
def test_missing_values_are_spelled_as_in_training_tables(shop, spelling):
    asked, rows, expected = shop
    for count in (100, 9000):
        body = rows.head(count).to_csv(index=False, na_rep=spelling)
        np.testing.assert_allclose(asked.score(body), expected[:count], rtol=0, atol=1e-6)
        status, message = asked.error(rows.head(count).assign(shop=spelling).to_csv(index=False))
        assert (status, "row 1, column 'shop': the value is missing" in message) == (400, True), message


@pytest.mark.parametrize(
    ("content", "body", "message"),
    [
        (CSV, "", "the body is empty"),
        (CSV, "\n\n", "the body is empty"),
        (CSV, HEAD, "no rows"),
        (CSV, "1,2,3", "row 1 has 3 values; expected 30"),
        (CSV, f"{ONE}\n{ONE},0", "row 2 has 31 values; expected 30"),
        (CSV, f"{HEAD}\n{ONE}\n{ONE[:-1]}x", "row 2, column 'Amount': text where a number"),
        (CSV, f"{HEAD}\n{ONE}\n{ONE[:-1]}inf", "row 2, column 'Amount': the value is infinite"),
        (CSV, f"{HEAD}\n{ONE[:-1]}", "row 1, column 'Amount': the value is missing"),
        (CSV, f"{HEAD}\n{ONE[:-1]}1_0", "row 1, column 'Amount': text where a number"),
        (CSV, f"{HEAD},Amount\n{ONE},0", "column 'Amount' appears 2 times"),
        (CSV, f"{HEAD.replace('V7', 'v7')}\n{ONE}", "column 'v7' is unknown; did you mean 'V7'"),
        (CSV, f"{HEAD.replace(',V7', '')}\n{ONE[2:]}", "column 'V7' is missing"),
        (CSV, ",".join(f"a{i}" for i in range(300_000)), "column 'a0' is unknown"),
        (CSV, "a" * 100_000, f"column '{'a' * 60}' is unknown"),
        (CSV, b"\xef\xbb\xbf\n", "first line holds a byte order mark"),
        (CSV, b"\xff\xfe\x00", "not UTF-8"),
        (CSV, f'{HEAD}\n"{ONE}', "not CSV"),
        (CSV, "\n".join([ONE] * 3000 + [ONE[:-1] + "x"]), "row 3001, column 'Amount': text where a number"),
        (CSV, "\n".join([ONE] * 17000 + [ONE[:-1] + "inf"]), "row 17001, column 'Amount': the value is infinite"),
        (JSON, "", "the body is not JSON"),
        (JSON, "{", "the body is not JSON"),
        (JSON, "[" * 100_000, "the body is not JSON"),
        (JSON, "[]", '{"instances": [...]}'),
        (JSON, '{"instances": 3}', '{"instances": [...]}'),
        (JSON, '{"instances": []}', "no rows"),
        (JSON, '{"instances": [3]}', "row 1 is a number"),
        (JSON, json.dumps({"instances": [OBJECT, OBJECT | {"V3": "a"}]}), "row 2, column 'V3': text where a number"),
        (JSON, json.dumps({"instances": [OBJECT, OBJECT | {"V3": None}]}), "row 2, column 'V3': the value is missing"),
        (JSON, json.dumps({"instances": [OBJECT | {"V3": 1e300}]}), "row 1, column 'V3': the value is infinite or"),
        (JSON, json.dumps({"instances": [OBJECT | {"W3": 1}]}), "row 1, column 'W3' is unknown"),
        (JSON, '{"instances": [{"V1": 0, "V2": 1, "V1": 1}]}', "'V1' appears 2 times in one JSON object"),
        (LINES, f"{json.dumps(OBJECT)}\n{{", "row 2 is not JSON"),
        (LINES, f"{json.dumps(OBJECT)}\n[1, 2]", "row 2 has 2 values"),
    ],
)
def test_rows_that_cannot_be_scored_are_refused_by_row_and_column(asked, content, body, message):
    status, error = asked.error(body, content)
    assert status == 400
    assert message in error


PARQUET, NPY = b"PAR1\x15\x04\x15\xf0PAR1", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'}"
RECORDIO = b"\n#\xd7\xce\x04\x00\x00\x00\x0a\x02\x08\x01"  # a magic number, a length and a record of protobuf
TYPE, SEND = "is not served; send text/csv", "without the label, or name the columns"
# What the unit tests of AWS's XGBoost container send, and what its users do: content type, body, status, words.
SHAPES = [
    ("text/csv", ONE, 200, ""),
    ("csv", ONE, 200, ""),
    ("TEXT/CSV", ONE, 200, ""),
    ("text/csv; charset=utf-8", ONE, 200, ""),
    ("text/csv;charset=UTF-8", ONE.replace(",", ",  "), 200, ""),
    ("text/csv; label_size=0", ONE, 200, ""),
    ("text/csv;label_size = 1", ONE, 200, ""),
    ("text/csv; label_size=1; charset=utf-8", ONE, 200, ""),
    ("text/csv; header=present", f"{HEAD}\n{ONE}", 200, ""),
    ("text/csv", ONE.replace("0", "0.0"), 200, ""),
    ("text/csv", f"0,{ONE}", 400, f"row 1 has 31 values; expected 30 .* in a row without names; .*{SEND}"),
    ("text/csv", "42\n6\n9\n", 400, "row 1 has 1 values; expected 30"),
    ("text/csv", "1,2,3,2019-1-1 12:12:12", 400, "row 1 has 4 values; expected 30"),
    ("text/csv", ONE.replace(",", ";"), 400, "values are separated by ';'; separate them by commas"),
    ("text/csv", HEAD.replace(",", "\t"), 400, "values are separated by '\\t'; separate them by commas"),
    ("text/csv", ONE.replace(",", " "), 400, "column '0 0"),
    ("text/csv", "", 400, "the body is empty"),
    ("text/csv", " \n", 400, "row 1 has 1 values"),
    ("text/csv", ",".join(["0"] * 1_000_000), 400, "row 1 has 1000000 values; expected 30"),
    ("text/csv", "0" * 1_000_000, 400, "row 1 has 1 values; expected 30"),
    ("text/csv", "x" * 100_000, 400, f"column '{'x' * 60}' is unknown"),
    ("text/csv", gzip.compress(ONE.encode()), 400, "the body is not UTF-8"),
    ("text/csv", base64.b64encode(ONE.encode()), 400, "the body is base64; send the text that it stands for"),
    ("text/csv", PARQUET, 400, "the body is not UTF-8"),
    ("text/csv; charset=iso-8859-1", ONE, 415, "charset 'iso-8859-1' is not served; send UTF-8"),
    ("text/csv; label_size=5", ONE, 415, "label_size=5 is not served; send rows without a label"),
    ("text/csv; label_size=1=1", ONE, 415, "label_size=1=1 is not served"),
    ("text/csv; label_size=1; label_size=2", ONE, 415, "label_size=2 is not served"),
    ("label_size=1; text/csv", ONE, 415, f"'label_size=1' {TYPE}"),
    ("incorrect_format", ONE, 415, f"'incorrect_format' {TYPE}"),
    ("", ONE, 415, f"'' {TYPE}"),
    ("text/plain", ONE, 415, f"'text/plain' {TYPE}"),
    ("libsvm", "0:1 5:1", 415, f"'libsvm' {TYPE}"),
    ("text/libsvm", "0:1 5:1", 415, f"'text/libsvm' {TYPE}"),
    ("text/x-libsvm", "0 0:1 5:1", 415, f"'text/x-libsvm' {TYPE}"),
    ("application/x-recordio-protobuf", RECORDIO, 415, f"'application/x-recordio-protobuf' {TYPE}"),
    ("application/x-parquet", PARQUET, 415, f"'application/x-parquet' {TYPE}"),
    ("application/x-npy", NPY, 415, f"'application/x-npy' {TYPE}"),
    ("application/json", json.dumps({"instances": [[0] * 30]}), 200, ""),
    ("application/json; charset=utf-8", json.dumps({"instances": [OBJECT]}), 200, ""),
    (
        "application/json",
        json.dumps({"instances": [{"features": [0] * 30}]}),
        400,
        "row 1, column 'features' is unknown",
    ),
    ("application/json", json.dumps([[0] * 30]), 400, 'the body must be {"instances": [...]}'),
    ("application/json", json.dumps({"inputs": [[0] * 30]}), 400, 'the body must be {"instances": [...]}'),
    ("application/json", base64.b64encode(json.dumps(OBJECT).encode()), 400, "the body is base64; send the text"),
    ("application/json", "", 400, "the body is not JSON"),
    ("application/jsonlines", json.dumps([0] * 30), 200, ""),
    ("application/x-jsonlines", json.dumps(OBJECT), 200, ""),
]


@pytest.mark.parametrize(
    ("content", "body", "status", "words"), SHAPES, ids=[f"{i}-{shape[0]}" for i, shape in enumerate(SHAPES)]
)
def test_each_shape_of_payload_is_accepted_or_refused_in_these_words(asked, content, body, status, words):
    got, _, text = asked.ask(body, content, accept=CSV)
    assert got == status, text
    if status == 200:
        assert float(text) == asked.score(ONE)[0]
    else:
        error = json.loads(text)["error"]
        assert re.search(words, error) or words in error, error
        assert len(error) < 600


JUNK = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=200).map(str.encode),
    st.lists(st.text('0123456789.,-+eEnaif"\n\r_ ', max_size=40), max_size=9).map(
        lambda parts: ",".join(parts).encode()
    ),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=31) | st.dictionaries(st.sampled_from([*COLUMNS, "x"]), inner, max_size=31)
        ),
        max_leaves=60,
    ).map(lambda value: json.dumps({"instances": [value]}).encode()),
)
WISHES = ["", "reasons", "reasons=-1", "threshold=", ";;==", "threshold=half,reasons=99999999999999999999"]


@given(
    body=JUNK,
    content=st.sampled_from([CSV, JSON, LINES, "application/x-jsonlines", "text/csv;;", "/", ""]),
    accept=st.sampled_from([CSV, JSON, "*/*", ";q=", "text/csv;q=x", ",,", "a/b"]),
    wish=st.sampled_from([*WISHES, f"reasons={'9' * 5000}"]),
)
def test_no_body_gets_a_5xx(asked, body, content, accept, wish):
    status, _, text = asked.ask(body, content, accept=accept, x_amzn_sagemaker_custom_attributes=wish)
    assert status in (200, 400, 406, 415), text
