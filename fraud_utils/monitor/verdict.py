"""One verdict on a deployed model, in plain words, with what to do about it; and the rule behind each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.artifact import Promise
from fraud_utils.monitor import drift
from fraud_utils.monitor.performance import Terms
from fraud_utils.monitor.traffic import Traffic

REFUSED_SHARE, REFUSED_ROWS = 0.01, 10  # of a day's rows without a score: an alarm from both on
LABELLED_SHARE = 0.5  # of a week's rows whose labels are due: less is an alarm
LOOK = "Look at the feed first: retraining on damaged columns would teach the model the damage."
RETRAIN = (
    "Retrain on rows up to now (`make report DATA=... RUN=next`), then compare both models on the same later rows "
    '(`PARAMS="challenger=next"` with this command) before anything is replaced.'
)
# In the order in which they decide the headline: kind, when the alarm is raised, what to do.
RULES = (
    (
        "column",
        f"On a day or in a week, a column's stability index is {drift.MODERATE:g} or more, and its bins are filled "
        "otherwise than in training beyond chance.",
        LOOK,
    ),
    (
        "feed",
        f"{words.percent(REFUSED_SHARE)} or more of a day's rows, and at least {REFUSED_ROWS}, have no score; or a day "
        "between others has no rows at all.",
        "Look at what the caller sends: the reasons are listed below.",
    ),
    (
        "performance",
        "In a week whose labels are due, precision or recall is below the promise beyond chance (Fisher's exact test).",
        RETRAIN,
    ),
    (
        "pace",
        "On a day or in a week, alerts are outside the band of the promised rate.",
        "Read some of the alerts. If frauds have changed, labels will show it in some weeks; until then, set the "
        "threshold for the alerts that can be reviewed.",
    ),
    (
        "score",
        f"As for columns: the score's stability index is {drift.MODERATE:g} or more, and beyond chance.",
        "Columns moved together without any one of them moving much: compare newer rows with training in notebook 01.",
    ),
    (
        "labels",
        f"In a week whose labels are due, fewer than {words.percent(LABELLED_SHARE)} of the rows have one, or fewer "
        "frauds are reported than promised, beyond chance.",
        "Ask whoever reports frauds before believing any figure that needs labels.",
    ),
)
WELL = "All is well: nothing has changed by more than chance and by more than matters."


@dataclass(frozen=True)
class Alarm:
    """What was found: its kind (as in RULES), the day it began, and a sentence."""

    kind: str
    since: int
    text: str
    name: str = ""


@dataclass(frozen=True)
class Verdict:
    """The headline, what to do, and all alarms, that of the headline first."""

    state: str
    headline: str
    action: str
    alarms: tuple[Alarm, ...] = ()

    def _repr_markdown_(self) -> str:
        others = [alarm.text for alarm in self.alarms if alarm.text not in self.headline]
        text = f"**{self.headline}** {self.action}"
        return words.markdown("\n\n".join([text, *([words.bullets(others)] if others else [])]))

    def json(self) -> str:
        """As `monitor.json` keeps it, for programs."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def rules() -> str:
    """The rules, as Markdown."""
    return words.bullets(f"**{kind.capitalize()}.** {rule} *What to do:* {action}" for kind, rule, action in RULES)


def judge(
    traffic: Traffic, columns: pd.DataFrame, pace: pd.DataFrame, promise: Promise, weeks: pd.DataFrame | None = None
) -> Verdict:
    """All alarms of these days, and the one that matters most as the verdict.

    Parameters
    ----------
    columns, pace : pandas.DataFrame
        From `drift.columns` and `drift.pace`.
    weeks : pandas.DataFrame, optional
        From `performance.weeks`, where there are labels.
    """
    found = [*_of_columns(columns, traffic), *_of_feed(traffic), *_of_pace(pace, traffic)]
    if weeks is not None and len(weeks):
        found += _of_labels(weeks, promise, traffic)
    order = [kind for kind, _, _ in RULES]
    alarms = tuple(sorted(found, key=lambda alarm: (order.index(alarm.kind), alarm.since)))
    if not alarms:
        said = "Nothing is to be done."
        if weeks is None or not len(weeks):
            said = "Whether alerts are still as good as promised, only labels will say."
        return Verdict("well", WELL, said)
    first = [alarm for alarm in alarms if alarm.kind == alarms[0].kind]
    action = next(action for kind, _, action in RULES if kind == alarms[0].kind)
    return Verdict(alarms[0].kind, _headline(first, traffic), _effect(first[0], pace, traffic) + action, alarms)


def _headline(first: list[Alarm], traffic: Traffic) -> str:
    if first[0].kind == "column" and len(first) > 1:
        names = words.listed([words.code(alarm.name) for alarm in first], 4)
        return f"{words.count(len(first), 'column')} changed ({names}), the first on {traffic.name(first[0].since)}."
    return " ".join(alarm.text for alarm in first)


def _of_columns(table: pd.DataFrame, traffic: Traffic) -> list[Alarm]:
    alarms = []
    for name, part in table[table["changed"]].groupby("column", sort=False):
        worst = part.loc[part["psi"].idxmax()]
        since = drift.began(part)
        when = f"{'on' if (part['kind'] == 'day').any() else 'in the week from'} {traffic.name(since)}"
        moved = (
            f"{words.percent(worst['share'])} of its values are {worst['most'].replace('-', words.MINUS)} now, "
            f"{words.percent(worst['before'])} in training"
        )
        if name == drift.SCORE:
            text = f"The scores' distribution changed {when} (stability index {worst['psi']:.2g})."
            alarms.append(Alarm("score", since, text))
        else:
            text = f"Column {words.code(name)} changed {when}: {moved} (stability index {worst['psi']:.2g})."
            alarms.append(Alarm("column", since, text, str(name)))
    return alarms


def _of_feed(traffic: Traffic) -> list[Alarm]:
    alarms = []
    refused = traffic.refused[traffic.refused["day"] >= 0].groupby("day")["rows"].sum()
    for day, rows in refused.items():
        share = rows / (rows + traffic.requests[day])
        if share >= REFUSED_SHARE and rows >= REFUSED_ROWS:
            why = traffic.refused[traffic.refused["day"] == day].nlargest(1, "rows")["why"].iloc[0]
            text = f"{words.percent(share)} of the rows of {traffic.name(int(day))} have no score, most because {why}."
            alarms.append(Alarm("feed", int(day), text))
            break
    silent = np.flatnonzero(traffic.requests == 0)
    silent = silent[~np.isin(silent, refused.index)]
    if len(silent):
        text = f"No request came on {traffic.name(int(silent[0]))}" + (
            f" and {words.count(len(silent) - 1, 'other day')}." if len(silent) > 1 else "."
        )
        alarms.append(Alarm("feed", int(silent[0]), text))
    return alarms


def _of_pace(pace: pd.DataFrame, traffic: Traffic) -> list[Alarm]:
    outside = pace[pace["outside"]]
    if outside.empty:
        return []
    first = outside.sort_values(["kind", "first"]).iloc[0]  # a day where there is one
    fewer = first["alerts"] < first["expected"]
    side, other = ("Fewer", "more") if fewer else ("More", "fewer")
    when = f"on {traffic.name(int(first['first']))}" if first["kind"] == "day" else (
        f"in the week from {traffic.name(int(first['first']))}"
    )  # fmt: skip
    days = outside[outside["kind"] == "day"]
    alike = int(((days["alerts"] < days["expected"]) == fewer).sum())
    lasting = f", as on {words.count(alike - 1, 'other day')}" if alike > 1 else ""
    if 0 < alike < len(days):
        lasting += f" ({other} on {words.count(len(days) - alike, 'day')})"
    text = (
        f"{side} alerts than promised {when}{lasting}: {first['alerts']:,.0f} where {words.plain(first['expected'])} "
        f"are expected and {first['low']:,.0f} to {first['high']:,.0f} are within chance."
    )
    return [Alarm("pace", int(first["first"]), text)]


def _of_labels(weeks: pd.DataFrame, promise: Promise, traffic: Traffic) -> list[Alarm]:
    alarms = []
    for name, of, kept in (("recall", "frauds", promise.frauds), ("precision", "alerts", promise.alerts)):
        fallen = weeks[weeks[f"fell_{name}"]]
        if len(fallen):
            week = fallen.iloc[0]
            reached = words.percent_between(week[name], week[f"{name}_low"], week[f"{name}_high"])
            first = traffic.name(int(week["first"]))
            text = (
                f"{name.capitalize()} fell in the week from {first}: {reached} of {words.count(week[of], of[:-1])} "
                f"where {words.percent(promise.caught / kept)} was promised."
            )
            alarms.append(Alarm("performance", int(week["first"]), text, name))
    unlabelled = weeks[(weeks["labelled"] < LABELLED_SHARE) | weeks["few_frauds"]]
    if len(unlabelled):
        week = unlabelled.iloc[0]
        expected = week["rows"] * promise.frauds / promise.rows
        text = (
            f"Labels are missing in the week from {traffic.name(int(week['first']))}: "
            f"{words.percent(week['labelled'])} of its rows have one, and {words.count(week['frauds'], 'fraud')} "
            f"are reported where about {words.plain(expected)} are expected."
        )
        alarms.append(Alarm("labels", int(week["first"]), text))
    return alarms


def _effect(alarm: Alarm, pace: pd.DataFrame, traffic: Traffic) -> str:
    """What a changed column or feed does to alerts."""
    if alarm.kind not in ("column", "feed"):
        return ""
    days = pace[pace["kind"] == "day"]
    since, before = days[days["first"] >= alarm.since], days[days["first"] < alarm.since]
    text = f"Since then {words.plain(since['alerts'].mean())} alerts a day came where "
    text += f"{words.plain(since['expected'].mean())} are promised"
    if len(before):
        text += f" ({words.plain(before['alerts'].mean())} a day before)"
    return f"{text}. "


def unknown(traffic: Traffic, weeks: pd.DataFrame | None, terms: Terms) -> str:
    """What these days can and cannot say, as Markdown."""
    cannot = [
        "Whether fewer frauds are caught: a new kind of fraud looks to the model like legitimate transactions, and "
        "changes neither columns nor the pace of alerts.",
        "Whether more of the alerts are false: a column that becomes zero can even make alerts more precise.",
    ]
    if weeks is not None and len(weeks):
        judged = int(weeks["last"].max()) + 1
        return words.bullets(
            [
                f"Labels judge the first {words.count(judged, 'day')}; the {traffic.days - judged:,} after them wait "
                f"for labels, which take {words.count(terms.label_delay_days, 'day')}.",
                "Rows whose label never comes are left out of precision and recall; if only alerted transactions are "
                "ever labelled, recall is too high.",
            ]
        )
    why = "no labels were given" if weeks is None else (
        f"no week is older than the {words.count(terms.label_delay_days, 'day')} that labels take"
    )  # fmt: skip
    return f"These days can say whether columns, scores and the pace of alerts have changed. As {why}, " + (
        "they cannot say:\n\n" + words.bullets(cannot)
    )
