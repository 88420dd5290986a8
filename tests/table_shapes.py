"""Small tables in the shapes of public ones, generated, and a schema for each: fraud can be learned in all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

ROWS = 1_500
WIDE = [*(f"C{i}" for i in range(1, 15)), *(f"D{i}" for i in range(1, 16)), *(f"V{i}" for i in range(1, 340))]
FEW = [*(f"M{i}" for i in range(1, 10)), *(f"id_{i}" for i in range(1, 7))]


@dataclass(frozen=True)
class Shape:
    """A table, the schema that somebody would write for it, and what a draft leaves to be decided: keys of a schema."""

    make: Callable[[np.random.Generator, np.ndarray], pd.DataFrame]
    schema: str
    fraud_rate: float = 0.06
    open: frozenset[str] = frozenset()

    def frame(self) -> pd.DataFrame:
        rng = np.random.default_rng(5)
        return self.make(rng, rng.random(ROWS) < self.fraud_rate)

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """The table as CSV and the schema as YAML."""
        table, schema = folder / f"{name}.csv", folder / f"{name}.yaml"
        self.frame().to_csv(table, index=False)
        schema.write_text(self.schema)
        return table, schema


def amounts(rng: np.random.Generator, y: np.ndarray, mean: float = 3.5) -> np.ndarray:
    return np.round(rng.lognormal(mean + y, 1), 2)


def shifted(rng: np.random.Generator, y: np.ndarray, by: float = 1.0) -> np.ndarray:
    return np.round(rng.normal(size=len(y)) + by * y, 3)


def words(rng: np.random.Generator, y: np.ndarray, values: str) -> np.ndarray:
    """One of some words a row, the first of them more often for frauds."""
    chosen = np.array(values.split())[rng.integers(0, len(values.split()), len(y))]
    chosen[y & (rng.random(len(y)) < 0.5)] = values.split()[0]
    return chosen


def moments(rng: np.random.Generator, rows: int, days: float, start: str = "2019-01-01") -> pd.Series:
    seconds = np.sort(rng.uniform(0, days * 86_400, rows)).astype(int)
    return pd.Series(pd.Timestamp(start) + pd.to_timedelta(seconds, unit="s"))


def gaps(rng: np.random.Generator, values: np.ndarray, share: float = 0.5) -> np.ndarray:
    return np.where(rng.random(len(values)) < share, None, values)


def us(times: pd.Series) -> list[str]:
    """As Excel writes them in the United States: 4/18/2015 2:47."""
    return [f"{t.month}/{t.day}/{t.year} {t.hour}:{t.minute:02d}" for t in times]


def paysim(rng: np.random.Generator, y: np.ndarray) -> pd.DataFrame:
    rows, amount = len(y), amounts(rng, y, 8)
    before = np.where(y, amount, np.round(amount * rng.uniform(0, 3, rows), 2))
    return pd.DataFrame(
        {
            "step": np.sort(rng.integers(1, 744, rows)),
            "type": words(rng, y, "TRANSFER CASH_OUT CASH_IN DEBIT PAYMENT"),
            "amount": amount,
            "nameOrig": [f"C{number}" for number in rng.permutation(rows) + 1_000_000],
            "oldbalanceOrg": before,
            "newbalanceOrig": np.round(np.maximum(before - amount, 0), 2),
            "nameDest": [f"M{number}" for number in rng.integers(0, 400, rows)],
            "oldbalanceDest": amounts(rng, y, 9),
            "newbalanceDest": amounts(rng, y, 9),
            "isFraud": y.astype(int),
            "isFlaggedFraud": (y & (rng.random(rows) < 0.1)).astype(int),
        }
    )


def sparkov(rng: np.random.Generator, y: np.ndarray) -> pd.DataFrame:
    rows, times = len(y), moments(rng, len(y), 60)
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 18_000, 200), unit="D")
    card = rng.integers(0, 200, rows)
    return pd.DataFrame(
        {
            "": np.arange(rows),
            "trans_date_trans_time": times.dt.strftime("%Y-%m-%d %H:%M:%S"),
            "cc_num": 4_000_000_000_000 + 7_919 * card,
            "merchant": [f"shop {number}" for number in rng.integers(0, 120, rows)],
            "category": words(rng, y, "shopping_net grocery_pos gas_transport home travel"),
            "amt": amounts(rng, y),
            "gender": np.array(["F", "M"])[card % 2],
            "lat": np.round(35 + card / 50, 4),
            "long": np.round(-80 - card / 40, 4),
            "city_pop": 100 * (card + 1),
            "dob": born[card].strftime("%Y-%m-%d"),
            "trans_num": [f"{number:032x}" for number in rng.permutation(rows) * 7_919_317],
            "unix_time": times.astype("datetime64[s]").astype("int64"),
            "merch_lat": np.round(35 + card / 50 + rng.normal(size=rows), 4),
            "merch_long": np.round(-80 - card / 40 + rng.normal(size=rows), 4),
            "is_fraud": y.astype(int),
        }
    )


def card_transdata(rng: np.random.Generator, y: np.ndarray) -> pd.DataFrame:
    rows = len(y)
    return pd.DataFrame(
        {
            "distance_from_home": amounts(rng, y, 2),
            "distance_from_last_transaction": amounts(rng, y, 0),
            "ratio_to_median_purchase_price": np.round(rng.lognormal(1.5 * y, 0.7), 6),
            **{name: (rng.random(rows) < share).astype(float)
               for name, share in (("repeat_retailer", 0.88), ("used_chip", 0.35), ("used_pin_number", 0.1))},
            "online_order": (rng.random(rows) < 0.5 + 0.4 * y).astype(float),
            "fraud": y.astype(float),
        }
    )  # fmt: skip


def baf(rng: np.random.Generator, y: np.ndarray) -> pd.DataFrame:
    rows = len(y)
    texts = {"payment_type": "AB AA AC AD AE", "employment_status": "CC CA CB CD", "housing_status": "BA BB BC BE",
             "source": "TELEAPP INTERNET", "device_os": "windows linux macintosh other x11"}  # fmt: skip
    return pd.DataFrame(
        {
            "fraud_bool": y.astype(int),
            "income": np.round(rng.integers(1, 10, rows) / 10, 1),
            "name_email_similarity": np.round(rng.random(rows), 4),
            "customer_age": 10 * rng.integers(2, 7, rows),
            "days_since_request": np.round(rng.exponential(1, rows), 4),
            "intended_balcon_amount": amounts(rng, y, 2),
            "credit_risk_score": rng.integers(-150, 380, rows) + 60 * y,
            **{name: words(rng, y, values) for name, values in texts.items()},
            "email_is_free": (rng.random(rows) < 0.5 + 0.3 * y).astype(int),
            "device_fraud_count": 0,
            **{f"velocity_{number}": shifted(rng, y, 0.2) for number in range(16)},
            "month": np.sort(rng.integers(0, 8, rows)),
        }
    )


def ieee_cis(rng: np.random.Generator, y: np.ndarray) -> pd.DataFrame:
    rows = len(y)
    made = {
        "TransactionID": 2_987_000 + np.arange(rows),
        "isFraud": y.astype(int),
        "TransactionDT": 86_400 + np.sort(rng.integers(0, 30 * 86_400, rows)),
        "TransactionAmt": amounts(rng, y),
        "ProductCD": words(rng, y, "C W H R S"),
        "card1": rng.integers(1_000, 1_400, rows),
        "card4": gaps(rng, words(rng, y, "visa mastercard discover"), 0.02),
        "addr1": gaps(rng, rng.integers(100, 200, rows), 0.1),
        "dist1": gaps(rng, amounts(rng, y, 1)),
        "dist2": gaps(rng, amounts(rng, y, 1), 0.9),
        "P_emaildomain": gaps(rng, words(rng, y, "mail.com gmail.com yahoo.com aol.com"), 0.15),
        **{name: gaps(rng, shifted(rng, y, 0.1)) for name in WIDE},
        **{name: gaps(rng, words(rng, y, "T F N")) for name in FEW},
    }
    return pd.DataFrame(made)


def claims(rng: np.random.Generator, y: np.ndarray) -> pd.DataFrame:
    rows = len(y)
    return pd.DataFrame(
        {
            "claim_number": [f"CL-{number:06d}" for number in rng.permutation(rows)],
            "claim_date": moments(rng, rows, 400, "2022-03-01").dt.strftime("%Y-%m-%d"),
            "policy_type": words(rng, y, "sport sedan utility"),
            "fault": words(rng, y, "holder third_party"),
            "driver_age": rng.integers(18, 80, rows),
            "days_since_policy": rng.integers(0, 400, rows) // (1 + 3 * y),
            "claim_amount": amounts(rng, y, 7),
            "witness": np.where(rng.random(rows) < 0.3, "yes", "no"),
            "outcome": np.where(y, "Fraud", "legitimate"),
        }
    )


def ecommerce(rng: np.random.Generator, y: np.ndarray) -> pd.DataFrame:
    rows, bought = len(y), moments(rng, len(y), 90, "2015-04-01")
    waited = np.where(y & (rng.random(rows) < 0.6), 60, rng.integers(3_600, 100 * 86_400, rows))
    return pd.DataFrame(
        {
            "user_id": rng.permutation(rows) + 10_000,
            "signup_time": us(bought - pd.to_timedelta(waited, unit="s")),
            "purchase_time": us(bought),
            "purchase_value": rng.integers(9, 150, rows) + 20 * y,
            "device_id": [f"D{number}" for number in rng.integers(0, 700, rows)],
            "source": words(rng, y, "Direct SEO Ads"),
            "browser": words(rng, y, "Chrome Opera Safari IE FireFox"),
            "sex": words(rng, np.zeros(rows, bool), "M F"),
            "age": rng.integers(18, 70, rows),
            "class": y.astype(int),
        }
    )


def tabformer(rng: np.random.Generator, y: np.ndarray) -> pd.DataFrame:
    rows, times = len(y), moments(rng, len(y), 120)
    amount = amounts(rng, y) * np.where(~y & (rng.random(rows) < 0.05), -1, 1)
    return pd.DataFrame(
        {
            "User": rng.integers(0, 150, rows),
            "Card": rng.integers(0, 5, rows),
            "Year": times.dt.year,
            "Month": times.dt.month,
            "Day": times.dt.day,
            "Time": times.dt.strftime("%H:%M"),
            "Amount": [f"${value:.2f}" for value in amount],
            "Use Chip": np.array(["Online Transaction", "Swipe Transaction"])[(rng.random(rows) > 0.2 + 0.6 * y) * 1],
            "Merchant Name": rng.integers(-(10**18), 10**18, 300)[rng.integers(0, 300, rows)],
            "Merchant City": words(rng, y, "Rome ONLINE Austin Boston"),
            "Zip": gaps(rng, 10_000 + 11.0 * rng.integers(0, 900, rows), 0.1),
            "MCC": np.array([5_300, 5_411, 4_829, 5_732])[rng.integers(0, 4, rows)],
            "Errors?": gaps(rng, np.full(rows, "Bad PIN"), 0.98),
            "Is Fraud?": np.where(y, "Yes", "No"),
        }
    )


def registrations(rng: np.random.Generator, y: np.ndarray) -> pd.DataFrame:
    rows, rare = len(y), rng.random(len(y)) < 0.05
    label = np.where(y, "fraud", "legit").astype(object)
    label[rare] = None
    return pd.DataFrame(
        {
            "EVENT_TIMESTAMP": moments(rng, rows, 30, "2021-06-01").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "ip_address": [f"10.{number // 20}.{number % 20}.1" for number in rng.integers(0, 400, rows)],
            "email_address": [f"user{number}@example.com" for number in rng.permutation(rows)],
            "billing_state": words(rng, y, "CA NY TX WA FL"),
            "user_agent": words(rng, y, "Opera Mozilla Safari"),
            "card_bin": 400_000 + rng.integers(0, 60, rows),
            "account_age_days": np.round(rng.exponential(300 / (1 + 4 * y)), 0),
            "EVENT_LABEL": label,
        }
    )  # fmt: skip


SHAPES = {
    "paysim": Shape(
        paysim,
        """\
label: isFraud
time: step
time_unit: hours
amount: amount
currency: USD
entity: nameDest
features: [oldbalanceOrg, newbalanceOrig, oldbalanceDest, newbalanceDest]
categorical: [type]
ignored: [nameOrig, isFlaggedFraud]
""",
        open=frozenset({"time_unit"}),
    ),
    "sparkov": Shape(
        sparkov,
        """\
label: is_fraud
noun: purchase
time: trans_date_trans_time
time_unit: timestamp
amount: amt
currency: USD
entity: cc_num
entities: [merchant]
features: [lat, long, city_pop, merch_lat, merch_long]
categorical: [category, gender]
dates: [dob]
ignored: [trans_num, unix_time]
""",
    ),
    "card_transdata": Shape(
        card_transdata,
        """\
label: fraud
features: [distance_from_home, distance_from_last_transaction, ratio_to_median_purchase_price, repeat_retailer,
  used_chip, used_pin_number, online_order]
""",
    ),
    "baf": Shape(
        baf,
        f"""\
label: fraud_bool
noun: application
time: month
time_unit: months
groups: [customer_age]
features: [income, name_email_similarity, customer_age, days_since_request, intended_balcon_amount, credit_risk_score,
  email_is_free, device_fraud_count, {", ".join(f"velocity_{i}" for i in range(16))}]
categorical: [payment_type, employment_status, housing_status, source, device_os]
""",
        open=frozenset({"time_unit"}),
    ),
    "ieee_cis": Shape(
        ieee_cis,
        f"""\
label: isFraud
time: TransactionDT
amount: TransactionAmt
currency: USD
entity: card1
entities: [addr1, P_emaildomain]
features: [dist1, dist2, {", ".join(WIDE)}]
categorical: [ProductCD, card4, {", ".join(FEW)}]
ignored: [TransactionID]
""",
    ),
    "claims": Shape(
        claims,
        """\
label: outcome
fraud: fraud
noun: claim
time: claim_date
time_unit: timestamp
amount: claim_amount
features: [driver_age, days_since_policy]
categorical: [policy_type, fault, witness]
ignored: [claim_number]
""",
        fraud_rate=0.2,
    ),
    "ecommerce": Shape(
        ecommerce,
        """\
label: class
time: purchase_time
time_unit: timestamp
time_format: "%m/%d/%Y %H:%M"
dates: [signup_time]
amount: purchase_value
currency: USD
entity: device_id
features: [age]
categorical: [source, browser, sex]
ignored: [user_id]
""",
    ),
    "tabformer": Shape(
        tabformer,
        """\
label: Is Fraud?
fraud: "Yes"
time: [Year, Month, Day, Time]
time_format: "%Y %m %d %H:%M"
amount: Amount
currency: USD
negative_amounts: true
entity: User
entities: [Merchant Name]
features: [Zip, MCC]
categorical: [Use Chip, Merchant City, "Errors?"]
ignored: [Card]
""",
    ),
    "registrations": Shape(
        registrations,
        """\
label: EVENT_LABEL
fraud: fraud
unlabelled: leave_out
noun: registration
time: EVENT_TIMESTAMP
time_unit: timestamp
entity: ip_address
features: [card_bin, account_age_days]
categorical: [billing_state, user_agent]
ignored: [email_address]
""",
    ),
}
