"""What a column may mean, guessed from its name and its values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fraud_utils import words
from fraud_utils.data.columns import SIGNS, Column, Look, as_dates
from fraud_utils.data.times import since_1970

LABELS = r"(is)?fraud(ulent)?(bool|label|flag|reported|found|ind(icator)?|status)?|class|(event|is)?label|target|y"
FRAUD = {"1", "1.0", "true", "t", "yes", "y", "fraud", "fraudulent", "chargeback", "bad", "confirmed"}
TIMES = {
    *("time", "timestamp", "datetime", "date", "dt", "ts", "epoch", "unix"),
    *("step", "second", "minute", "hour", "day", "month"),
}
MAIN_TIMES = {"trans", "transaction", "purchase", "event", "booked", "order", "payment", "claim", "txn", "tx"}
BIRTHS = {"dob", "birth", "birthday", "birthdate", "born"}
UNITS = {
    "second": "seconds", "seconds": "seconds", "unix": "seconds", "ms": "milliseconds", "minute": "minutes",
    "minutes": "minutes", "step": "hours", "hour": "hours", "hours": "hours", "day": "days", "days": "days",
    "month": "months",
}  # fmt: skip
AMOUNTS = (("amount", "amt"), ("value",), ("price", "total", "sum"), ("claim", "charge", "cost"))
ENTITIES = (
    ("card", "cc", "pan"),
    ("account", "acct", "iban", "orig", "sender"),
    ("customer", "client", "user", "member", "cardholder"),
    ("policy", "device", "email", "ip"),
)
NO_AMOUNT = {"ratio", "rate", "count", "per", "risk"}
OTHERS = {"merchant", "dest", "recipient", "payee", "beneficiary", "seller", "vendor", "store", "terminal", "shop"}
NO_ENTITY = {"age", "count", "limit", "balance", "oldbalance", "score", "lat", "long", "pop", "months", "days", "bin"}
PEOPLE = {"age", "gender", "sex", "race", "ethnicity", "nationality", "marital", "religion", "disability"}
NO_PERSON = {"account", "card", "bank", "device", "phone", "address", "days", "minutes", "hours"}  # have an age, too
IDS = {"id", "index", "key", "uuid", "guid", "num", "number", "no", "nr", "ref", "reference"}
FEW, MANY = 100, 1_000  # distinct texts up to which a column may tell classes apart, and above which none is a category
EPOCH = 5e8  # from here on a number is a date: in 1985
GIVEN_AWAY = "tells the classes apart without an error: it gives the label away"


@dataclass
class Draft:
    """A schema in the making.

    Attributes
    ----------
    look : Look
        The table.
    roles : dict of str to list of (str, str)
        Columns by role, each with the reason.
    keys : dict of str to (value, reason)
        Other keys of the schema.
    open : dict of str to str
        What somebody has to decide, by the key it is about.
    left : dict of str to Column
        Columns without a role yet.
    """

    look: Look
    roles: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    keys: dict[str, tuple[Any, str]] = field(default_factory=dict)
    open: dict[str, str] = field(default_factory=dict)
    left: dict[str, Column] = field(default_factory=dict)

    def give(self, role: str, name: str, why: str) -> Column:
        """Give a column without a role one."""
        self.roles.setdefault(role, []).append((name, why))
        return self.left.pop(name)

    def named(self, names: Iterable[str]) -> list[Column]:
        """The columns without a role whose names have one of these words."""
        return [column for name, column in self.left.items() if {*names} & parts(name)]

    @property
    def people(self) -> list[str]:
        """Columns that tell groups of people apart, by their names."""
        names = [column.name for column in self.look.columns if column.distinct > 1]
        return [name for name in names if PEOPLE & parts(name) and not NO_PERSON & parts(name)]


def guess(made: Draft) -> None:
    """Give every column of a draft a role."""
    made.left = {column.name: _dated(column) for column in made.look.columns}
    for key, value in made.look.written.items():
        made.keys[key] = (value, "as the first rows show")
    _useless(made)
    _leaks(made, _label(made))
    time = _time(made)
    _folders(made)
    _dates(made, time)
    _amount(made)
    _entities(made)
    _inputs(made)


def parts(name: str) -> set[str]:
    """The words of a column's name: `oldbalanceOrg`, `cc_num` and `Is Fraud?` have two each."""
    return {each.lower() for each in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)} | {name.lower()}


def _names_a_label(name: str) -> bool:
    return re.fullmatch(LABELS, re.sub(r"[^a-z]", "", name.lower())) is not None


def _dated(column: Column) -> Column:
    """The column, as one of dates where it is named as a time and its numbers are such as 20250131."""
    return (as_dates(column) if TIMES & parts(column.name) else None) or column


# Roles, in the order in which they are given ------------------------------------------------------------------------


def _useless(made: Draft) -> None:
    for name, column in list(made.left.items()):
        if column.kind == "empty":
            made.give("ignored", name, "no row has a value")
        elif column.kind == "other":
            of_day = f"; with a date in column 'day' it is a time: write 'time: [day, {name}]'"
            more = of_day if column.examples[0].startswith("time") else ""
            made.give("ignored", name, f"holds {column.examples[0]}: neither numbers nor texts nor dates{more}")
        elif column.distinct == 1 and not column.missing:
            made.give("ignored", name, f"every row has the same value, {column.examples[0]}")
        elif not name.strip():
            made.give("ignored", name, "has no name: the rows' numbers, it seems")


def _label(made: Draft) -> np.ndarray | None:
    """Choose the label; returns which rows are fraud, where there is one."""
    named = [name for name in made.left if _names_a_label(name)]
    alike = [name for name in made.left if "fraud" in name.lower() or "chargeback" in name.lower()]
    pairs = [name for name, column in made.left.items() if column.distinct == 2 and column.kind != "date"]
    speaking = [name for name in pairs if any("fraud" in value.lower() for value in made.left[name].examples)]
    by_name = next(filter(None, ([name for name in names if name in pairs] for names in (named, alike, speaking))), [])
    best = by_name or pairs
    if not best:
        _constant_label(made)
        return None
    if len(best) > 1:
        made.open["label"] = f"which is the label, {_listed(best)}? Correct the next lines and delete this one"
    elif not by_name:
        made.open["label"] = f"is {best[0]} the label? Only it has two values; delete this line if so"
    column = made.left[best[0]]
    y = _frauds(made, column)
    share = words.percent(float(np.nanmean(y)))
    made.give("label", column.name, f"two values, {' and '.join(column.examples)}; fraud in {share} of rows")
    if column.missing:
        made.keys["unlabelled"] = ("leave_out", f"{words.count(column.missing, 'row')} without a label")
    for name in (name for name in alike if name in made.left):
        made.give("ignored", name, "speaks of fraud as well: perhaps known only afterwards")
    return y


def _constant_label(made: Draft) -> None:
    """Ask for the label where no column has two values; one that is named as a label may be constant in these rows."""
    made.open["label"] = "no column has just two values; which one is the label? Write 'label: its name' here"
    for column in made.look.columns:
        if column.distinct == 1 and _names_a_label(column.name) and "label" not in made.roles:
            made.open["label"] = f"is {column.name} the label? Every row has {column.examples[0]}; correct it if not"
            made.left.pop(column.name, None)
            made.roles["ignored"] = [each for each in made.roles.get("ignored", []) if each[0] != column.name]
            made.roles["label"] = [(column.name, "by its name")]


def _frauds(made: Draft, column: Column) -> np.ndarray:
    """Which rows are fraud: 1, 0, or NaN without a label."""
    if column.kind == "number":
        codes, known = column.values, sorted({*column.values[~column.gaps]})
        names = tuple(f"{value:g}" for value in known)
        codes = np.where(column.gaps, np.nan, column.values == known[1])
    else:
        codes, names = np.where(column.gaps, np.nan, column.values), column.examples
    frauds = [place for place in (0, 1) if names[place].lower() in FRAUD]
    if len(frauds) == 1:
        (fraud,) = frauds
    else:
        fraud = int(np.nanmean(codes) <= 0.5)
        made.open["fraud"] = f"is {names[fraud]!r} fraud? It is the rarer; delete this line if so"
    if {name.lower() for name in names} not in ({"0", "1"}, {"false", "true"}):
        made.keys["fraud"] = (names[fraud], f"the other value is {names[1 - fraud]}")
    return np.where(np.isnan(codes), np.nan, codes == fraud)


def _leaks(made: Draft, y: np.ndarray | None) -> None:
    """Columns that give the label away."""
    if y is None or np.nansum(y) < 10:
        return
    fraud, legitimate = y == 1, y == 0
    for name, column in list(made.left.items()):
        few = column.kind == "text" and column.distinct <= FEW
        if column.missing:
            if _apart(column.gaps[fraud].astype(int), column.gaps[legitimate].astype(int)):
                made.give("ignored", name, "has values in one class only: it gives the label away")
        elif (few and not {*column.values[fraud]} & {*column.values[legitimate]}) or (
            column.kind == "number" and _apart(column.values[fraud], column.values[legitimate])
        ):
            made.give("ignored", name, GIVEN_AWAY)


def _apart(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(one.max() < other.min() or other.max() < one.min())


def _time(made: Draft) -> Column | None:
    """Choose the time."""
    dates = [each for each in made.left.values() if each.kind == "date" and not BIRTHS & parts(each.name)]
    numbers = [c for c in made.named(TIMES) if c.kind == "number" and not c.missing and c.distinct > 2]
    epochs = [column for column in numbers if column.range[0] > EPOCH]
    if dates:

        def rank(column: Column) -> tuple[float, ...]:
            named = bool(MAIN_TIMES & parts(column.name))
            return column.name in made.look.folders, not named, column.missing, -column.distinct

        chosen = min(dates, key=rank)
        made.give("time", chosen.name, _span(chosen))
        made.keys["time_unit"] = ("timestamp", f"such as {chosen.examples[0]}")
        _format(made, chosen)
        for column in epochs:
            made.give("ignored", column.name, f"a time, too; {chosen.name} is taken")
        return chosen
    if _in_parts(made):
        return None
    if not numbers:
        return _ascending(made)
    folders = made.look.folders
    chosen = min(numbers, key=lambda c: (c.name in folders, c not in epochs, "time" not in parts(c.name)))
    low, high = chosen.range
    made.keys["time_unit"] = _unit(made, chosen)
    return made.give("time", chosen.name, f"numbers from {low:,.0f} to {high:,.0f}")


def _unit(made: Draft, time: Column) -> tuple[str, str]:
    """What a time counts, with the reason; a question where its name and size leave that open."""
    low, high = time.range
    if epoch := since_1970(low, high):
        return epoch if epoch in ("seconds", "milliseconds") else "timestamp", f"{epoch} since 1970, by their size"
    unit = next((UNITS[each] for each in sorted(parts(time.name)) if each in UNITS), "seconds")
    if low > EPOCH or unit != "seconds" or high < 86_400 or {"date", "datetime"} & parts(time.name):
        made.open["time_unit"] = (
            f"does {time.name} count {unit}? Correct the next line if not (dates in digits are 'timestamp', with a "
            "line 'time_format'), and delete this one"
        )
    return unit, "by its name and size"


def _ascending(made: Draft) -> Column | None:
    """A column of dates such as 20250131, or one in whose order the rows are, where none is named as a time."""
    for column in made.left.values():
        dated = as_dates(column) if column.distinct > 2 and not IDS & parts(column.name) else None
        if dated and len(dated.examples[0]) > len("202501"):
            made.left[column.name] = dated
            return _time(made)
    for column in made.left.values():
        counts = column.kind == "number" and not column.missing and column.distinct > FEW
        if counts and not IDS & parts(column.name) and np.all(np.diff(column.values) >= 0):
            made.open["time"] = f"is {column.name} a time? Correct the next lines if not, and delete this one"
            made.keys["time_unit"] = _unit(made, column) if column.range[0] > EPOCH else ("seconds", "a guess")
            return made.give("time", column.name, "the rows are in its order")
    _ask_for_time(made)
    return None


def _ask_for_time(made: Draft) -> None:
    """Ask about texts that are named as times or look like some, and are written in a way that is not known."""
    for name, column in made.left.items():
        if column.kind == "text" and ({"time", "timestamp", "datetime", "date"} & parts(name) or _looks_dated(column)):
            made.open["time"] = (
                f"is {name} the time? It is not known how {column.examples[0]!r} is written: write 'time: its name', "
                "'time_unit: timestamp' and 'time_format' here. Without a time the test rows are drawn at random"
            )
            return


def _looks_dated(column: Column) -> bool:
    return all(re.match(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}\b", each) for each in column.examples)


def _in_parts(made: Draft) -> bool:
    """Whether year, month, day and perhaps a time stand in columns of their own."""
    by_name = {column.name.lower(): column for column in made.look.columns}
    if not {"year", "month", "day"} <= by_name.keys():
        return False
    times = by_name["time"].examples if "time" in by_name else ()
    clock = {1: " %H:%M", 2: " %H:%M:%S"}.get(times[-1].count(":"), "") if times else ""
    if clock and by_name["time"].kind == "other":  # which is read with all digits of its unit
        clock = " %H:%M:%S" if times[0].endswith("[s]") else " %H:%M:%S.%f"
    columns = [by_name[each].name for each in ("year", "month", "day", *(["time"] if clock else []))]
    for name in columns:
        made.left.pop(name, None)
    if others := [each for each in made.roles.pop("ignored", []) if each[0] not in columns]:
        made.roles["ignored"] = others
    made.keys["time"] = (columns, "joined by spaces")
    made.keys["time_format"] = (f"%Y %m %d{clock}", "")
    return True


def _format(made: Draft, column: Column) -> None:
    """How dates are written, where not as in ISO 8601."""
    if column.formats == ("",):
        return
    made.keys["time_format"] = (column.formats[0], f"such as {column.examples[0]}")
    if len(column.formats) > 1:
        made.open["time_format"] = (
            f"is {column.examples[0]} {' or '.join(column.formats)}? All rows can be read both ways; "
            "correct the next line if needed, and delete this one"
        )


def _span(column: Column) -> str:
    known = np.sort(column.values[~column.gaps])
    if not len(known):
        return f"such as {column.examples[0]}"
    return " to ".join(np.datetime_as_string(each, "m").replace("T", " ") for each in known[[0, -1]])


def _folders(made: Draft) -> None:
    """Days or months after which folders are named, beside the time: they say nothing that it does not."""
    for name in made.look.folders & made.left.keys() if "time" in {*made.roles, *made.keys} else ():
        if made.left[name].kind == "date" or (TIMES | {"year", "week", "quarter"}) & parts(name):
            made.give("ignored", name, "names the folders of the files: the time says it, too")


def _dates(made: Draft, time: Column | None) -> None:
    """Further dates: what lies before the time is an input, what lies after it was not known yet."""
    for column in [column for column in made.left.values() if column.kind == "date"]:
        if time is None:
            made.give("ignored", column.name, "a date; there is no time of the transaction to count from")
        elif column.formats != time.formats:
            made.give("ignored", column.name, "a date that is written in another way than the time")
        elif after := float(np.mean(column.values > time.values)):
            made.give("ignored", column.name, f"after the time in {words.percent(after)} of rows: not known by then")
        else:
            made.give("dates", column.name, f"before the time, such as {column.examples[0]}{_gaps(column)}")


def _amount(made: Draft) -> None:
    by_rank = [column for names in AMOUNTS for column in made.named(names) if not NO_AMOUNT & parts(column.name)]
    found = {c.name: c for c in by_rank if c.kind == "number" and not c.missing and c.distinct > 2}
    if not found:
        return
    column, *others = found.values()
    low, high = column.range
    more = f"; or {_listed(each.name for each in others)}?" if others else ""
    made.give("amount", column.name, f"{words.decimals(low, 2)} to {words.decimals(high, 2)}{more}")
    why = f"by the sign {column.sign}" if column.sign else "not known from the table: correct it"
    made.keys["currency"] = (SIGNS.get(column.sign, "EUR"), why)
    if column.thousands:
        made.keys["thousands"] = (column.thousands, f"such as {column.examples[0]}")
    if low < 0:
        share = words.percent(float((column.values < 0).mean()))
        made.keys["negative_amounts"] = (True, f"{share} of rows are below zero: refunds?")


def _entities(made: Draft) -> None:
    """Cards, accounts or people, whose rows share a fold; and further ones, which models do not use."""

    def repeats(column: Column) -> bool:
        many = max(20, 0.01 * column.rows) < column.distinct < 0.9 * (column.rows - column.missing)
        return many and (column.kind == "text" or column.whole) and not (NO_ENTITY | PEOPLE) & parts(column.name)

    for names in (*ENTITIES, OTHERS):
        for column in filter(repeats, made.named(names)):
            role = "entities" if "entity" in made.roles or OTHERS & parts(column.name) else "entity"
            each = (column.rows - column.missing) / column.distinct
            made.give(role, column.name, f"{column.distinct:,} values, {each:.1f} rows each on average")


def _inputs(made: Draft) -> None:
    """What is left: inputs of the models; ids and free text, which are none."""
    for name, column in list(made.left.items()):
        unique = max(0.9 * (column.rows - column.missing), FEW) < column.distinct
        if unique and (column.kind == "text" or (column.whole and (IDS | OTHERS) & parts(name))):
            made.give("ignored", name, "nearly every row has a value of its own: an id or free text")
        elif column.kind == "number":
            low, high = column.range
            made.give("features", name, f"{low:.4g} to {high:.4g}{_gaps(column)}")
        elif {value.lower() for value in column.examples} <= {"true", "false"}:
            made.give("features", name, f"true or false{_gaps(column)}")
        elif column.distinct > MANY:
            made.give("ignored", name, f"{column.distinct:,} texts: too many for a category")
        else:
            values = f"{words.count(column.distinct, 'value')}, such as {_listed(column.examples)}"
            made.give("categorical", name, values + _gaps(column))
    if not {"features", "categorical", "amount", "dates"} & made.roles.keys():
        made.open["features"] = "no column is left to learn from; write 'features: [...]' or 'categorical: [...]' here"


def _gaps(column: Column) -> str:
    return f"; missing in {words.percent(column.missing / column.rows)}" if column.missing else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
