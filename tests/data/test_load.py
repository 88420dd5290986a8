"""Loading, checking, splitting and downloading transactions."""

import gzip
import hashlib
import http.server
import json
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fraud_utils.data import ULB, DataError, Schema, duplicate_groups, fold_groups, load_transactions, split_by_time

SMALL = Schema("small", label="fraud", time="t", amount="amount", features=("a", "b"))


def small(rows: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "t": np.arange(rows, dtype=float),
            "a": rng.normal(size=rows),
            "b": rng.normal(size=rows),
            "amount": rng.integers(0, 500, rows) / 4,
            "fraud": (np.arange(rows) % 4 == 3).astype(int),
        }
    )


def written(folder: Path, frame: pd.DataFrame, name: str = "table.csv") -> Path:
    path = folder / name
    frame.to_parquet(path, index=False) if name.endswith(".parquet") else frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.csv.zip", "t.parquet", "T.CSV"])
def test_every_format_gives_the_same_frame(tmp_path, name):
    frame = small()
    loaded = load_transactions(written(tmp_path, frame, name), SMALL)
    pd.testing.assert_frame_equal(loaded, frame.astype({"fraud": np.int8}))
    provenance = loaded.attrs["provenance"]
    assert (provenance["rows"], provenance["frauds"], provenance["simulated"]) == (40, 10, False)
    assert provenance["columns"] == 5


def test_the_checksum_is_that_of_the_uncompressed_csv(tmp_path):
    path = written(tmp_path, small())
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "inside.csv")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    for name in ("table.csv", "t.csv.zip", "t.csv.gz"):
        assert load_transactions(tmp_path / name, SMALL).attrs["provenance"]["sha256"] == expected


def test_exponents_quotes_and_a_byte_order_mark_are_read(tmp_path):
    text = '\ufeff"t","a","b","amount","fraud"\n1e+00,1,2,3,"0"\n2,1.5e-3,2,0,"1"\n'
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    loaded = load_transactions(tmp_path / "t.csv", SMALL)
    assert loaded.to_numpy().tolist() == [[1, 1, 2, 3, 0], [2, 0.0015, 2, 0, 1]]


def changed(column: str, row: int, value: object) -> pd.DataFrame:
    """The small table with one other value, rows counted from 1."""
    frame = small().astype(object)
    frame.loc[row - 1, column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "parts"),
    [
        pytest.param(small().drop(columns="b"), ["column 'b' is missing; add it"], id="missing column"),
        pytest.param(
            small().rename(columns={"amount": "amuont"}), ["column 'amount'", "has 'amuont': rename it"], id="misspelt"
        ),
        pytest.param(small().assign(note=1), ["column 'note'", "ignored"], id="extra column"),
        pytest.param(changed("a", 7, "abc"), ["row 7", "column 'a'", "'abc'", "not a number"], id="text"),
        pytest.param(changed("t", 5, None), ["row 5", "column 't'", "missing"], id="no time"),
        pytest.param(changed("fraud", 9, None), ["row 9", "column 'fraud'", "missing"], id="no label"),
        pytest.param(changed("amount", 2, None), ["row 2", "column 'amount'", "missing"], id="no amount"),
        pytest.param(changed("fraud", 3, 2), ["row 3", "column 'fraud'", "neither 0 nor 1"], id="label 2"),
        pytest.param(changed("fraud", 3, 0.5), ["row 3", "column 'fraud'", "neither 0 nor 1"], id="label 0.5"),
        pytest.param(small().assign(fraud=0), ["column 'fraud'", "all 40 rows are legitimate"], id="one class"),
        pytest.param(changed("b", 11, np.inf), ["row 11", "column 'b'", "infinite"], id="infinite"),
        pytest.param(
            changed("amount", 4, -1), ["row 4", "column 'amount'", "negative", "negative_amounts"], id="refund"
        ),
        pytest.param(small()[:0], ["no rows"], id="header only"),
    ],
)
def test_a_bad_csv_is_refused_with_column_row_and_remedy(tmp_path, frame, parts):
    with pytest.raises(DataError) as caught:
        load_transactions(written(tmp_path, frame), SMALL)
    for part in [str(tmp_path / "table.csv"), *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["empty"]),
        (b"\n\n", ["names no columns"]),
        (b"t,a,a,amount,fraud\n1,2,3,4,0\n", ["'a' appears 2 times"]),
        (b"t,a,b,amount,fraud\n1,2,3,4,0\n2,2,3\n", ["row 2 (line 3)", "has 3 values", "5 columns"]),
        (b"t,a,b,amount,fraud\n1,2,3,4,0\n2,2,3,4,1,9\n", ["row 2", "has 6 values"]),
        (b"t,a,b,amount,fraud\n1,2,3,4,0\n2,2,0x1F,4,1\n", ["row 2", "'b'", "'0x1F' is not a number"]),
    ],
)
def test_a_broken_csv_is_refused(tmp_path, content, parts):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_transactions(tmp_path / "t.csv", SMALL)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("suffix", ["zip", "gz"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95, 0.999])
def test_an_archive_cut_short_is_refused(tmp_path, suffix, share):
    path = written(tmp_path, small(4000), f"t.csv.{suffix}")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"t\.csv\.\w+: damaged, cut short"):
        load_transactions(path, SMALL)


def test_an_archive_with_a_flipped_bit_is_refused(tmp_path):
    path = written(tmp_path, small(4000), "t.csv.gz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged|not a number|has . values"):
        load_transactions(path, SMALL)


def test_a_zip_of_two_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    with pytest.raises(DataError, match="holds 2 files"):
        load_transactions(tmp_path / "t.csv.zip", SMALL)


def test_parquet_of_other_types_is_converted_or_refused(tmp_path):
    frame = small().astype({"t": "int32", "fraud": bool, "a": "float32"})
    loaded = load_transactions(written(tmp_path, frame, "t.parquet"), SMALL)
    assert loaded["fraud"].tolist() == small()["fraud"].tolist()
    assert loaded["t"].dtype == np.float64
    with pytest.raises(DataError, match=r"column 'a' holds .*string, not numbers"):
        load_transactions(written(tmp_path, small().assign(a="x"), "u.parquet"), SMALL)
    (tmp_path / "v.parquet").write_bytes(b"PAR1 no parquet")
    with pytest.raises(DataError, match="not readable as parquet"):
        load_transactions(tmp_path / "v.parquet", SMALL)


def test_unknown_format_and_missing_file_say_what_to_do(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"unknown format; expected one of \.csv"):
        load_transactions(tmp_path / "t.xlsx", SMALL)
    with pytest.raises(DataError, match=r"no such file.*make data"):
        load_transactions(tmp_path / "nothing.csv")


def test_another_table_with_timestamps_categories_and_an_entity(tmp_path):
    frame = pd.DataFrame(
        {
            "when": ["2026-03-02T00:00:10", "2026-03-01T06:00:00", "2026-03-02T00:00:10"],
            "card": ["c1", "c2", "c1"],
            "shop": ["book", None, "food"],
            "x": [1.0, None, 3.0],
            "is_fraud": [0, 1, 0],
            "note": ["free", "text", "here"],
        }
    )
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump(
            {
                "label": "is_fraud",
                "time": "when",
                "time_unit": "timestamp",
                "features": ["x"],
                "categorical": ["shop"],
                "entity": "card",
                "ignored": ["note"],
            }
        )
    )
    schema = Schema.read(tmp_path / "mine.yaml")
    loaded = load_transactions(written(tmp_path, frame), schema)
    assert schema.name == "mine"
    assert loaded["when"].tolist() == [6 * 3600, 86410, 86410]  # from midnight of the first day, in order of time
    assert loaded["shop"].tolist()[1:] == ["book", "food"]
    assert loaded["shop"].isna().tolist() == [True, False, False]
    groups = fold_groups(loaded, schema)
    assert groups[1] == groups[2] != groups[0]
    frame.loc[1, "when"] = "yesterday"
    with pytest.raises(DataError, match="row 2, column 'when': no timestamp"):
        load_transactions(written(tmp_path, frame), schema)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("lable: x\ntime: t\nfeatures: [a]", "unknown key 'lable'; did you mean 'label'"),
        ("label: y\nfeatures: [a]", "key 'time' is missing"),
        ("label: y\ntime: t\nfeatures: a", "'features' must be a list"),
        ("label: y\ntime: t\nfeatures: [a, y]", "column 'y' has two roles"),
        ("label: y\ntime: t\nfeatures: [a]\ntime_unit: hours", "time_unit is 'hours'"),
        ("label: y\ntime: t\nfeatures: [a]\nnegative_amounts: 'no'", "must be true or false"),
        ("label: 1\ntime: t\nfeatures: [a]", "'label' must be text"),
        ("label: y\ntime: t", "no column to learn from"),
        ("- a\n- b", "expected 'key: value' lines"),
        ("label: [", "not readable as YAML"),
    ],
)
def test_a_bad_schema_is_refused(tmp_path, text, part):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(DataError) as caught:
        Schema.read(tmp_path / "s.yaml")
    assert part in str(caught.value)


def test_a_schema_survives_plain_values():
    schema = Schema("x", "y", "t", None, ("a",), categorical=("c",), entity="e", time_unit="timestamp")
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    assert Schema.read("") is ULB


def test_another_file_by_ulbs_name_is_named_as_such(tmp_path):
    columns = {name: [0.0, 1.0, 2.0] for name in ULB.columns} | {"Class": [0, 1, 0]}
    path = written(tmp_path, pd.DataFrame(columns), "creditcard.csv")
    with pytest.raises(DataError, match=r"different file: SHA-256 .* 3 rows and 1 frauds instead of 284,807 and 492"):
        load_transactions(path)
    path.rename(tmp_path / "ours.csv")
    assert load_transactions(tmp_path / "ours.csv").attrs["provenance"]["name"] == "ours.csv"


def test_without_data_transactions_are_simulated_and_say_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, again, other = (load_transactions(seed=seed) for seed in (7, 7, 8))
    provenance = first.attrs["provenance"]
    assert provenance["simulated"] is True
    assert "SIMULATED" in provenance["name"]
    assert "seed 7" in provenance["name"]
    assert provenance["sha256"] == again.attrs["provenance"]["sha256"] != other.attrs["provenance"]["sha256"]
    with pytest.raises(DataError, match="DATA=path"):
        load_transactions(schema=SMALL)


# ------------------------------------------------------------------------------------------------ split


@given(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=4, max_size=60),
    st.floats(0.05, 0.95),
)
def test_ties_and_copies_never_straddle_the_cut(rows, share):
    frame = pd.DataFrame(sorted(rows), columns=["t", "fraud"]).astype({"t": float, "fraud": int})
    frame = frame.assign(a=frame["t"] % 3, b=0.0, amount=1.0)[list(SMALL.columns)]
    try:
        split = split_by_time(frame, SMALL, share)
    except DataError as error:
        assert "share one time" in str(error) or "no fraud" in str(error)
        return
    assert split.train["t"].max() < split.test_from == split.test["t"].min()
    assert len(split.train) + len(split.test) == len(frame)
    groups = duplicate_groups(frame, SMALL)
    assert not set(groups[: split.train_rows]) & set(groups[split.train_rows :])
    assert (split.train_frauds, split.test_frauds) == (split.train["fraud"].sum(), split.test["fraud"].sum())
    assert min(split.train_frauds, split.test_frauds) > 0


def test_the_cut_leaves_the_share_asked_for_when_times_differ():
    split = split_by_time(small(), SMALL, 0.2)
    assert split.sizes() == {
        "test_from": 32.0,
        "train_rows": 32,
        "train_frauds": 8,
        "test_rows": 8,
        "test_frauds": 2,
        "test_days": pytest.approx(7 / 86_400),
    }


def test_days_of_a_test_set_at_one_moment_are_not_known():
    frame = small()
    frame.loc[frame["t"] >= 32, "t"] = 32.0
    assert split_by_time(frame, SMALL, 0.2).test_days is None


@pytest.mark.parametrize(
    ("frame", "share", "part"),
    [
        (small().assign(fraud=[1] * 4 + [0] * 36), 0.2, "test side .* no fraud"),
        (small().assign(fraud=[0] * 36 + [1] * 4), 0.2, "training side .* no fraud"),
        (small().assign(t=1.0), 0.2, "share one time"),
        (small()[::-1], 0.2, "not in order of time"),
        (small(), 1.5, "between 0 and 1"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused(frame, share, part):
    with pytest.raises(DataError, match=part):
        split_by_time(frame, SMALL, share)


# --------------------------------------------------------------------------------------------- real data


@pytest.fixture(scope="session")
def real(real_data):
    return load_transactions(real_data)


@pytest.mark.real_data
def test_the_reference_set_has_its_published_counts(real):
    assert real.attrs["provenance"]["name"] == "ULB creditcard.csv"
    assert (len(real), int(real["Class"].sum())) == (284_807, 492)
    copies = real.duplicated()
    assert (int(copies.sum()), int(real.loc[copies, "Class"].sum())) == (1_081, 19)
    assert len(real) - len(np.unique(duplicate_groups(real, ULB))) == 1_081
    assert real["Amount"].sum() == pytest.approx(25_162_590.01, abs=0.005)
    assert int((real["Amount"] == 0).sum()) == 1_825
    assert real.memory_usage(deep=True).sum() <= 80e6


@pytest.mark.real_data
def test_the_last_fifth_of_the_reference_set(real):
    split = split_by_time(real, ULB)
    assert (split.test_rows, split.test_frauds) == (56_962, 75)
    groups = duplicate_groups(real, ULB)
    assert not np.intersect1d(groups[: split.train_rows], groups[split.train_rows :]).size


# ---------------------------------------------------------------------------------------------- download


class Server(http.server.BaseHTTPRequestHandler):
    """Gives a file whole, cut short, changed, or not at all."""

    content = b"Time,Amount\n" + b"1,2\n" * 50_000

    def do_GET(self):
        kind = self.path.strip("/").removesuffix(".csv")
        if kind == "fails":
            self.send_error(503)
            return
        body = self.content[:-1] + b"!" if kind == "corrupts" else self.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if kind == "truncates" else body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_download_is_whole_and_right_or_leaves_nothing(address, tmp_path, monkeypatch):
    from fraud_utils.data import download

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    sha256 = hashlib.sha256(Server.content).hexdigest()
    path = tmp_path / "data" / "table.csv"
    for kind, part in (("fails", "503"), ("truncates", "could not download"), ("corrupts", "SHA-256 differs")):
        with pytest.raises(DataError, match=part):
            download(f"{address}/{kind}.csv", path, sha256)
        assert not list(path.parent.glob("*"))
    assert download(f"{address}/whole.csv", path, sha256) == path
    assert path.read_bytes() == Server.content


def test_make_data_says_what_went_wrong_and_exits_with_1(address, tmp_path):
    command = [
        sys.executable,
        "-m",
        "fraud_utils.data",
        "--url",
        f"{address}/fails.csv",
        "--path",
        str(tmp_path / "x.csv"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={"no_proxy": "127.0.0.1"}, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("make data: could not download")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
