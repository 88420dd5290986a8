"""Captures opened with their labels, and the verdict on them: one for each thing that goes wrong."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from monitored import SHOP, THRESHOLD, record, saved, shop_rows

from fraud_utils import artifact, monitor, project
from fraud_utils.data import DataError, load_transactions
from fraud_utils.monitor.traffic import read_traffic

PLAN = monitor.Plan(days=21, requests_per_day=600)
SHORT = {"zero": replace(PLAN, days=8), "unit": replace(PLAN, days=8), "labels": replace(PLAN, requests_per_day=200)}


@pytest.fixture(scope="module")
def case(model, pools):
    """Three weeks, the last two of them with a fault if one is named; one that needs no frauds shows in less."""

    @cache
    def made(fault: str = "") -> monitor.Case:
        later = pools[monitor.FAULTS[fault]] if fault else None
        return monitor.simulated_case(model, pools[monitor.HEALTHY], SHORT.get(fault, PLAN), later)

    return made


@pytest.fixture(scope="module")
def healthy(case):
    return case()


def test_three_healthy_weeks_are_well_and_two_of_them_are_judged(healthy):
    verdict = healthy.verdict()
    assert (verdict.state, verdict.alarms) == ("well", ())
    assert healthy.traffic.days == 21 and healthy.traffic.names[0] == "2026-01-05"
    assert healthy.traffic.requests.tolist() == [600] * 21
    assert healthy.weeks[["first", "last"]].to_numpy().tolist() == [[0, 6], [7, 13]]
    assert (healthy.weeks["labelled"] == 1).all()
    assert "14 days" in healthy.unknown()


def test_what_is_read_is_what_was_written(healthy, pools):
    """Shares of the pool's rows, within what drawing 12,600 of them allows."""
    pool = pools[monitor.HEALTHY]
    assert healthy.traffic.rows["score"].mean() == pytest.approx(pool.score.mean(), rel=0.3)
    assert set(healthy.traffic.rows["score"]) <= set(pool.score)
    assert sum(counts.sum() for counts in healthy.traffic.counts.values()) == 12_600 * 29


@pytest.mark.parametrize(
    ("fault", "state", "headline", "action"),
    [
        (
            "zero",
            "column",
            "Column `V10` changed on 12 January 2026: 100\N{NO-BREAK SPACE}% of its values are",
            "Look at the feed first",
        ),
        ("unit", "column", "Column `Amount` changed on 12 January 2026", "Look at the feed first"),
        ("pattern", "performance", "Recall fell in the week from 12 January 2026", "Retrain"),
        ("labels", "labels", "Labels are missing in the week from 12 January 2026", "Ask whoever reports frauds"),
    ],
)
def test_each_fault_has_its_verdict_with_its_first_day_and_what_to_do(case, fault, state, headline, action):
    verdict = case(fault).verdict()
    assert verdict.state == state
    assert headline in verdict.headline
    assert action in verdict.action
    assert json.loads(verdict.json())["state"] == state


def test_a_changed_column_says_what_it_does_to_alerts(case):
    assert "Since then 0 alerts a day came where" in case("zero").verdict().action


def test_without_labels_it_says_what_cannot_be_known(model, pools, tmp_path):
    captured, _ = monitor.write_traffic(tmp_path, pools[monitor.HEALTHY], None, monitor.Plan(3, 500))
    case = monitor.open_case(model, captured)
    assert case.verdict().state == "well"
    assert "only labels will say" in case.verdict().action
    assert "no labels were given" in case.unknown() and "a new kind of fraud" in case.unknown()
    assert case.judged_days == 0


def test_refused_rows_and_silent_days_are_the_feeds_and_say_why(shop, capture):
    good = [record(f"1,{value},0.5,web,40\n", "0.01\n") for value in np.random.default_rng(0).normal(size=200)]
    capture(*good)
    path = capture(*[record("1,,0.5,web,40\n", None, inferenceTime="2026-01-05T11:00:00Z")] * 20)
    verdict = monitor.open_case(shop, path).verdict()
    feed = next(alarm for alarm in verdict.alarms if alarm.kind == "feed")
    assert "have no score, most because column 'a': the value is missing" in feed.text
    table = monitor.open_case(shop, path).refusals()
    assert table["rows"].tolist() == [20]
    late = [record(f"1,{value},0.5,web,40\n", "0.01\n", inferenceTime="2026-01-08T11:00:00Z") for value in (0.1, 0.2)]
    path = capture(*late, hour="2026/01/08/11")
    texts = [alarm.text for alarm in monitor.open_case(shop, path).verdict().alarms]
    assert any("No request came on 6 January 2026 and 1 other day" in text for text in texts)


def test_where_no_row_has_a_score_each_reason_is_said_once(shop, capture):
    days = [f"2026-01-0{day}T10:00:00Z" for day in range(5, 8) for _ in range(2)]
    path = capture(*[record("1,2,3,web,4\n", "failed", inferenceTime=day) for day in days],
                   *[record("1,,3,web,4\n", None, inferenceTime=day) for day in days[:3]])  # fmt: skip
    with pytest.raises(DataError, match=r"refused: the answer holds no scores \(6\); column 'a': [^;]* \(3\)$"):
        monitor.open_case(shop, path)


def test_simulated_traffic_may_hold_any_text_and_any_name(tmp_path):
    rows = shop_rows(500, 1).rename(columns={"when": "when, UTC"})
    rows["channel"] = rows["channel"].map('web, "new"\r\nline\u2028{}'.format, na_action="ignore")
    schema = replace(SHOP, time="when, UTC")
    model = saved(tmp_path / "model", schema, rows, rows, ["b", "channel"])
    healthy = monitor.pools(rows, model, schema)[monitor.HEALTHY]
    case = monitor.simulated_case(model, healthy, monitor.Plan(days=2, requests_per_day=50))
    assert case.label is None  # none has come in two days
    assert case.traffic.requests.tolist() == [50, 50] and not len(case.refusals())
    assert case.traffic.counts["channel"][:, -2].sum() == 0  # no text that training has not seen


def test_requests_of_this_project_and_rows_that_came_again_are_not_traffic_and_the_page_says_so(
    shop, capture, tmp_path
):
    rows = shop_rows(900, 9)
    score = shop.score(rows)

    def asked(part: slice, identity: str) -> str:
        body = rows.iloc[part].drop(columns="fraud").to_csv(index=False)
        return record(body, "".join(f"{each!r}\n" for each in score[part].tolist()), inferenceId=identity)

    customers = [asked(slice(row, row + 1), f"p{row}") for row in range(100)]
    own = [asked(slice(100, 900), project.own_request()), asked(slice(100, 101), project.own_request())]
    frauds = [f"p{row}" for row in range(100) if rows["fraud"].iloc[row]]
    pd.DataFrame({"id": frauds, "label": 1}).to_csv(tmp_path / "labels.csv", index=False)
    alone = monitor.open_case(shop, capture(*customers), tmp_path / "labels.csv")
    assert "left out" not in alone.describe()
    case = monitor.open_case(shop, capture(*own, *customers[:3]), tmp_path / "labels.csv")
    assert case.traffic.requests.tolist() == [100]
    assert case.verdict() == alone.verdict()
    assert "2 requests of this project itself" in case.describe() and project.OWN_REQUESTS in case.describe()
    assert "3 rows came again under an InferenceId" in case.describe()
    with pytest.raises(DataError, match=r"no row with a score\. 2 requests of this project itself"):
        monitor.open_case(shop, capture(*own, endpoint="new") / "new")


# Tables, labels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["requests.csv", "requests.parquet"])
def test_a_plain_table_of_requests_and_scores_is_read_too(model, unseen, tmp_path, name):
    rows = unseen.iloc[:3_000]
    table = rows.drop(columns="Class").assign(id=[f"r{i}" for i in range(3_000)], score=model.score(rows))
    table.loc[table.index[5], "score"] = np.nan
    table.loc[table.index[5], "V3"] = np.nan
    path = tmp_path / name
    table.to_csv(path, index=False) if name.endswith(".csv") else table.to_parquet(path, index=False)
    rows.assign(id=table["id"])[["id", "Class"]].to_csv(tmp_path / "labels.csv", index=False)
    case = monitor.open_case(model, path, tmp_path / "labels.csv", monitor.Terms(THRESHOLD, label_delay_days=0))
    assert case.traffic.requests.sum() == 2_999
    assert case.traffic.names[0] == "day 1"
    assert "column 'V3': the value is missing" in case.refusals().index[0]
    y = rows["Class"].to_numpy()[np.arange(3_000) != 5]
    alert = model.score(rows)[np.arange(3_000) != 5] >= THRESHOLD
    assert case.weeks[["frauds", "alerts", "caught"]].to_numpy().tolist() == [[y.sum(), alert.sum(), y[alert].sum()]]


def test_a_model_that_learned_nothing_from_an_amount_is_watched_without_it(capture, tmp_path):
    rows = shop_rows(2_000, 1).assign(total=40.0)
    model = saved(tmp_path / "model", SHOP, rows, rows, ["b", "channel"])
    case = monitor.open_case(model, capture(record("1,2,3,web,40\n", "0.5\n", inferenceId="a")))
    assert case.traffic.rows.columns.tolist() == ["id", "day", "score"]


def test_a_table_may_call_the_id_as_the_schema_does_and_write_gaps_as_training_tables_do(tmp_path):
    rows = shop_rows(500, 1)
    rows.insert(1, "payment", [f"p{number}" for number in range(len(rows))])
    model = saved(tmp_path / "model", replace(SHOP, id="payment"), rows, rows, ["b", "channel"])
    rows.assign(score=model.score(rows)).drop(columns="fraud").to_csv(tmp_path / "t.csv", index=False, na_rep="NA")
    rows[["payment", "fraud"]].to_csv(tmp_path / "labels.csv", index=False)
    case = monitor.open_case(model, tmp_path / "t.csv", tmp_path / "labels.csv")
    assert case.label.tolist() == rows["fraud"].tolist()
    assert case.traffic.counts["channel"][:, -1].sum() == rows["channel"].isna().sum()


def test_a_table_whose_amounts_are_whole_for_a_megabyte_is_read(shop, tmp_path):
    whole = "0,1,2,web,40,0.5\n" * 70_000
    (tmp_path / "t.csv").write_text(f"when,a,b,channel,total,score\n{whole}9,1.5,2.5,web,40.5,1\n")
    rows = monitor.open_case(shop, tmp_path / "t.csv").traffic.rows
    assert len(rows) == 70_001 and rows["amount"].iloc[-1] == 40.5


def scored(shop, rows: int = 2_000, **columns) -> pd.DataFrame:
    """A table of requests with other columns, or more."""
    frame = shop_rows(rows, 5)
    return frame.assign(score=shop.score(frame)).drop(columns="fraud").assign(**columns)


LATE = {  # in their last row: what the first megabyte says nothing of
    "time": ({"when": pd.Series([*range(39_999), 39_999.5], dtype=object)}, {}),
    "unused": ({"comment": [""] * 39_999 + ['asked\n"by phone"']}, {"note": [""] * 39_999 + ["late"]}),
}


@pytest.mark.parametrize("late", LATE)
def test_what_the_first_megabyte_does_not_show_is_read_and_unused_columns_do_not_matter(shop, tmp_path, late):
    more, beside = LATE[late]
    ids = [f"{number:030d}" for number in range(40_000)]
    table = scored(shop, 40_000, when=np.arange(40_000), id=ids).assign(**more)
    table.to_csv(tmp_path / "t.csv", index=False)
    labels = pd.DataFrame({"id": ids, "label": False}).assign(**beside)
    labels.loc[39_999, "label"] = True
    labels.to_csv(tmp_path / "labels.csv", index=False)
    case = monitor.open_case(shop, tmp_path / "t.csv", tmp_path / "labels.csv")
    assert len(case.traffic.rows) == 40_000 and case.label.tolist() == [0] * 39_999 + [1]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_rows_without_an_id_get_no_label_and_the_page_counts_them(shop, tmp_path, name):
    table = scored(shop, id=[f"r{number}" if number >= 100 else None for number in range(2_000)])
    table.to_csv(tmp_path / name, index=False) if name.endswith("csv") else table.to_parquet(tmp_path / name)
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\nr150,1\nr151,0\n")
    case = monitor.open_case(shop, tmp_path / name, labels)
    assert np.flatnonzero(~np.isnan(case.label)).tolist() == [150, 151] and np.nansum(case.label) == 1
    assert "2 rows of these have a label by now. 100 rows came without an id and cannot get one." in case.describe()
    labels.write_text("id,label\nr150,1\n")  # frauds only
    assert np.isnan(monitor.open_case(shop, tmp_path / name, labels).label).sum() == 100
    table.assign(id="").to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=r"none of 1 ids is that of a captured row .* no captured row has one"):
        monitor.open_case(shop, tmp_path / "t.csv", labels)


@pytest.mark.parametrize("first", [0, 4_532_012_345_678_901])  # card numbers have 16 digits
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_whole_ids_are_found_where_a_missing_one_made_them_floats(shop, tmp_path, name, first):
    ids = first + np.arange(2_000)
    table = scored(shop, id=np.where(ids == first + 3, np.nan, ids))
    if name.endswith("csv"):
        table.to_csv(tmp_path / name, index=False)
    else:
        table.to_parquet(tmp_path / name)
    pd.DataFrame({"id": ids, "label": np.arange(2_000) % 2}).to_csv(tmp_path / "labels.csv", index=False)
    label = monitor.open_case(shop, tmp_path / name, tmp_path / "labels.csv").label
    assert np.flatnonzero(np.isnan(label)).tolist() == [3] and label[4:7].tolist() == [0, 1, 0]


def test_categories_that_are_whole_numbers_are_those_that_the_model_learned(tmp_path):
    rows = shop_rows(3_000, 1)
    rows["channel"] = rows["channel"].map({"web": 5411, "pos": 5812, "moto": 6011}).astype("Int64")
    rows.to_parquet(tmp_path / "train.parquet")
    train = load_transactions(tmp_path / "train.parquet", SHOP).astype({"channel": object})
    model = saved(tmp_path / "model", SHOP, train, train, ["b", "channel"])
    rows.assign(score=model.score(train)).to_parquet(tmp_path / "t.parquet")
    case = monitor.open_case(model, tmp_path / "t.parquet")
    assert case.verdict().state == "well"
    assert case.traffic.counts["channel"][:, -1].sum() == rows["channel"].isna().sum()
    listed = rows.assign(score=0.5, channel=[[1]] * len(rows))
    listed.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(
        DataError, match=r"t.parquet: column 'channel' holds list<.*>, which is neither number nor text"
    ):
        monitor.open_case(model, tmp_path / "t.parquet")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize(
    ("time", "score", "part"),
    [
        (np.nan, np.nan, "the value is missing; fill it in or drop the row"),
        (np.nan, 0.5, "the value is missing; fill it in or drop the row"),
        (pd.NaT, 0.5, "the value is missing; fill it in or drop the row"),
        ("noon", 0.5, "'noon' is no time; write seconds, or timestamps such as"),
    ],
)
def test_a_row_without_a_time_is_named(shop, tmp_path, name, time, score, part):
    table = scored(shop)
    if time is pd.NaT:
        table["when"] = pd.Timestamp("2026-01-05") + pd.to_timedelta(table["when"], unit="s")
    elif isinstance(time, str):
        table["when"] = table["when"].astype(str)
    table.loc[5, ["when", "score"]] = [time, score]
    table.to_csv(tmp_path / name, index=False) if name.endswith("csv") else table.to_parquet(tmp_path / name)
    with pytest.raises(DataError, match=f"{name}: row 6, column 'when': {part}"):
        monitor.open_case(shop, tmp_path / name)


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Paris"])
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_timestamps_are_days_in_utc(shop, tmp_path, name, zone):
    start = pd.Timestamp("2026-01-05T23:30:00.25", tz=zone)
    table = scored(shop, 3, when=[start, start + pd.Timedelta(hours=1), start + pd.Timedelta(days=2)])
    table.to_csv(tmp_path / name, index=False) if name.endswith("csv") else table.to_parquet(tmp_path / name)
    days = monitor.open_case(shop, tmp_path / name).traffic
    assert days.names[0] == "2026-01-05" and days.days == 3
    assert days.rows["day"].tolist() == ([0, 0, 2] if zone == "Europe/Paris" else [0, 1, 2])


def test_a_challenger_that_uses_fewer_columns_is_asked_about_these(shop, capture, tmp_path):
    rows = shop_rows(2_000, 1).drop(columns="b")
    other = saved(tmp_path / "model", replace(SHOP, features=("a",)), rows, rows, ["channel"])
    path = capture(record("1,2,3,web,4\n", "0.5\n"))  # the time, a, b, the channel, the total
    scores = read_traffic(path, shop, other).rows["challenger"]
    assert scores.tolist() == pytest.approx(other.score({"a": [2.0], "channel": ["web"], "total": [4.0]}).tolist())


def test_a_challenger_that_needs_a_column_which_this_model_does_not_use_is_refused(shop, capture, tmp_path):
    rows = shop_rows(2_000, 1).assign(age=np.arange(2_000.0))
    other = saved(tmp_path / "model", replace(SHOP, features=("a", "b", "age")), rows, rows, ["b", "channel"])
    path = capture(record("1,2,3,web,4\n", "0.5\n"))
    with pytest.raises(DataError, match="challenger cannot score what this model was asked: column 'age' is missing"):
        read_traffic(path, shop, other)


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        (pd.DataFrame({"id": ["x1"], "label": [1]}), "none of 1 ids is that of a captured row"),
        (pd.DataFrame({"id": ["a"], "label": [2]}), "row 1 has no label; it must be 0 or 1"),
        (pd.DataFrame({"id": ["a", "a"], "label": [0, 1]}), "id 'a' is labelled 0 and 1"),
        (pd.DataFrame({"name": ["a"], "label": [1]}), "no column gives an id"),
        (pd.DataFrame({"id": ["a", None, ""], "label": [1, 1, 1]}), r"row 2 \(and 1 more row\) has no 'id'"),
        (pd.DataFrame({"id": [], "label": []}), "has no rows; leave LABELS out until labels have come"),
    ],
)
def test_labels_that_cannot_be_used_are_explained(shop, capture, tmp_path, labels, part):
    path = capture(record("1,2,3,web,4\n", "0.5\n", inferenceId="a"))
    labels.to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(DataError, match=part):
        monitor.open_case(shop, path, tmp_path / "labels.csv")


def test_a_list_of_frauds_only_counts_all_others_as_legitimate(shop, capture, tmp_path):
    path = capture(*[record("1,2,3,web,4\n", "0.5\n", inferenceId=name) for name in "abc"])
    pd.DataFrame({"id": ["b"], "fraud": [1]}).to_csv(tmp_path / "labels.csv", index=False)
    assert monitor.open_case(shop, path, tmp_path / "labels.csv").label.tolist() == [0, 1, 0]


def test_a_model_of_an_earlier_version_is_told_apart(model, tmp_path):
    content = dict(model.manifest)
    del content["reference"]
    folder = tmp_path / "old" / "model"
    folder.mkdir(parents=True)
    (folder / "model.ubj").write_bytes(bytes(model.booster.save_raw("ubj")))
    (folder / "manifest.json").write_text(json.dumps(content))
    assert artifact.load(folder).reference is None
    with pytest.raises(DataError, match="trained by an earlier version"):
        monitor.load_model(tmp_path / "old")
    with pytest.raises(DataError, match="make report leaves a model"):
        monitor.load_model(tmp_path)
