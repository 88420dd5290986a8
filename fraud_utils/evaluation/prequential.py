"""Does the past predict the future? A window to fit, the label delay, a block to test, and all of it moved on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data import LEAST, DataError, Parts, labelled
from fraud_utils.evaluation.cards import DAY, WHOSE, attainable, card_precision, known_compromised
from fraud_utils.evaluation.metrics import average_precision
from fraud_utils.evaluation.rows import Protocol, Rows, Scores
from fraud_utils.evaluation.scores import score_parts
from fraud_utils.intervals import LEVEL
from fraud_utils.models import Candidate
from fraud_utils.record import InTime, Prequential

HOUR, MONTH = 3_600, 30.4375 * DAY
HOURS, DAYS, MONTHS = (1, 2, 3, 4, 6, 12), (1, 2, 7, 14), (1, 3, 12)
LENGTHS = (*(HOUR * n for n in HOURS), *(DAY * n for n in DAYS), *(MONTH * n for n in MONTHS))
NEVER = "never fitted again"
BLOCKS = 5
FIGURES = ["average_precision", "card_precision", "attainable"]


@dataclass(frozen=True)
class Plan:
    """Where windows and blocks lie, in seconds; every block begins where the one before it ends.

    Attributes
    ----------
    start : float
        Of the first block.
    block, train : float
        Length of a block, and of the window before it that is fitted.
    delay : float
        Between window and block, since the labels of what lies there are not known yet.
    blocks : int
    """

    start: float
    block: float
    train: float
    delay: float
    blocks: int = BLOCKS

    def window(self, number: int) -> tuple[float, float]:
        """Where the window of a block begins and ends; blocks count from 0."""
        end = self.start + number * self.block - self.delay
        return end - self.train, end

    def parts(self, time: np.ndarray) -> Parts:
        """Places of the rows to fit and of those to score, by block; `time` ascends."""
        parts = []
        for number in range(self.blocks):
            begin = self.start + number * self.block
            first, start, stop = np.searchsorted(time, [self.window(number)[0], begin, begin + self.block])
            known = int(labelled(time, begin, self.delay / DAY))
            parts.append((np.arange(first, known), np.arange(start, stop)))
        return parts


@dataclass(frozen=True)
class Blocks:
    """What models reached block by block.

    Attributes
    ----------
    plan : Plan, optional
    places : numpy.ndarray of int
        The blocks' rows, among those that were given.
    scores : Scores, optional
        Of these; the last column is the first candidate's, never fitted again.
    table : pandas.DataFrame
        Tidy: `name` of the model, `block` from 0, `start` (seconds), `frauds`, `cards` ("kept", or "known ones
        dropped", as the Fraud Detection Handbook does), `average_precision`, `card_precision` and what of it was
        `attainable`.
    left_out : str
        Why there are none, or why nothing is said of cards; "" where all was asked.
    """

    plan: Plan | None = None
    places: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))
    scores: Scores | None = None
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    left_out: str = ""


def plan(rows: Rows, blocks: int = BLOCKS) -> Plan:
    """The longest blocks of a usual length (hours, days, weeks, months) that leave half of the rows' time to fit.

    Raises
    ------
    DataError
        The rows have no times, or are too few days for the label delay and so many blocks.
    """
    if rows.time is None:
        raise DataError("The table has no times, so nothing can be fitted on the past and judged on what came next.")
    moments = np.unique(rows.time)
    delay = rows.label_delay_days * DAY
    step = float(np.diff(moments).min(initial=np.inf))
    span = float(moments[-1] - moments[0]) - delay
    fitting = [length for length in LENGTHS if step <= length <= span / (2 * blocks)]
    if not fitting:
        waiting = f" and a label delay of {words.count(rows.label_delay_days, 'day')}" if delay else ""
        raise DataError(
            f"The {words.duration(span + delay)} before the test set are too short for {blocks} blocks in time"
            f"{waiting}, so nothing was fitted on the past and judged on what came next."
        )
    unit = step if step > DAY else min(fitting[-1], DAY)
    end = round((float(moments[-1]) + step) / unit) * unit  # a day that has hardly begun is none
    start = end - blocks * fitting[-1]
    return Plan(start, fitting[-1], start - delay - float(moments[0]), delay, blocks)


def slide(
    candidates: Sequence[Candidate], rows: Rows, protocol: Protocol, cards_per_day: int = 0, given: Plan | None = None
) -> Blocks:
    """Fit candidates on a sliding window and score the block that comes once its labels are known.

    What the first window gave scores all later blocks, too: the first candidate as it would be if never fitted again.

    Parameters
    ----------
    rows : Rows
        Before the test set.
    cards_per_day : int
        Cards that are reviewed a day; 0 to leave card precision out.
    given : Plan, optional
        Without it, `plan` of the rows.
    """
    try:
        chosen = given or plan(rows)
    except DataError as error:
        return Blocks(left_out=str(error))
    y, parts = rows.y, dict(enumerate(chosen.parts(np.asarray(rows.time))))
    parts = {k: (fit, new) for k, (fit, new) in parts.items() if y[fit].sum() >= LEAST and 0 < y[new].sum() < len(new)}
    if len(parts) < 2:
        return Blocks(left_out=f"Fewer than two blocks in time have frauds and at least {LEAST} before them to fit on.")
    places = np.concatenate([new for _, new in parts.values()])
    (fit, new), *later = parts.values()
    scored = score_parts(candidates, rows, [(fit, places), *later], protocol, "Blocks in time")
    once = scored.values[: len(places)]
    values = pd.concat([once[: len(new)], scored.values[len(places) :]], ignore_index=True)
    values[never(candidates[0])] = once[candidates[0].name]
    block = np.repeat(list(parts), [len(new) for _, new in parts.values()])
    scores = Scores(rows.at(places), values, block, scored.seconds)
    why = ""
    if cards_per_day and chosen.block < DAY:
        why, cards_per_day = f"Blocks of {words.duration(chosen.block)} are too short for figures a day.", 0
    known = {}
    if rows.card is not None:
        known = {k: known_compromised(rows, chosen.window(k)[0])[new] for k, (_, new) in parts.items()}
    return Blocks(chosen, places, scores, _table(chosen, scores, known, cards_per_day), why)


def never(candidate: Candidate) -> str:
    """What a candidate that is fitted on the first window alone is called."""
    return f"{candidate.name}, {NEVER}"


def _table(of: Plan, scores: Scores, known: dict[int, np.ndarray], cards_per_day: int) -> pd.DataFrame:
    table = []
    for number, name in itertools.product(np.unique(scores.block), scores.values):
        here = np.flatnonzero(scores.block == number)
        for cards in ("kept", "known ones dropped") if known else ("kept",):
            left = here if cards == "kept" else here[~known[number]]
            rows, score = scores.rows.at(left), scores.values[name].to_numpy()[left]
            row = {"name": name, "block": number, "start": of.start + number * of.block, "cards": cards}
            row |= {"frauds": int(rows.y.sum()), **dict.fromkeys(FIGURES, np.nan)}
            if rows.y.any():
                row["average_precision"] = average_precision(rows.y, score, share=rows.share)
            if cards_per_day and len(rows):
                row["card_precision"] = card_precision(rows, score, cards_per_day)["precision"].mean()
                row["attainable"] = attainable(rows, cards_per_day)
            table.append(row)
    return pd.DataFrame(table)


def summary(blocks: Blocks) -> Prequential | None:
    """Mean, standard deviation and interval over the blocks, by model and by what is done with known cards."""
    if blocks.plan is None or blocks.table.empty:
        return None
    figures = []
    for (name, cards), part in blocks.table.groupby(["name", "cards"], sort=False):
        means = part[FIGURES].mean()
        known = {key: float(value) for key, value in means.items() if pd.notna(value)}
        spread = {f"{key}_sd": float(part[key].std()) for key in known if key != "attainable" and part[key].count() > 1}
        interval = over_blocks(part["average_precision"].dropna().to_numpy(), blocks.plan)
        figures.append(InTime(name, cards, **known, **spread, average_precision_ci=interval))
    of = blocks.plan
    count = int(blocks.table["block"].nunique())
    return Prequential(of.train / DAY, of.delay / DAY, of.block / DAY, count, tuple(figures))


def over_blocks(values: np.ndarray, of: Plan, least: float = 0.0) -> tuple[float, float] | None:
    """Student's interval of a mean over blocks, from `least` to 1; None for a single block.

    Windows overlap, so that blocks are no independent trials of fitting: the variance is larger by the share of a block
    in its window (Nadeau and Bengio 2003, "Inference for the generalization error", Machine Learning 52, 239-281).
    """
    from scipy.stats import t

    if len(values) < 2:
        return None
    error = float(np.std(values, ddof=1) * (1 / len(values) + of.block / of.train) ** 0.5)
    mean, half = float(np.mean(values)), float(t.isf((1 - LEVEL) / 2, len(values) - 1)) * error
    return max(mean - half, least), min(mean + half, 1.0)


def readable(result: Prequential | None) -> pd.DataFrame:
    """A row a model: mean over the blocks, interval and standard deviation; what is not known is left out."""
    if result is None:
        return pd.DataFrame()
    rows = {}
    for each in result.models:
        low, high = each.average_precision_ci or (None, None)
        rows[each.name, WHOSE[each.cards]] = {
            "average precision": each.average_precision,
            "low": low,
            "high": high,
            "deviation": each.average_precision_sd,
            "card precision": each.card_precision,
            "its deviation": each.card_precision_sd,
            "attainable": each.attainable,
        }
    table = pd.DataFrame.from_dict(rows, orient="index").astype(float).round(3).dropna(axis=1, how="all")
    return table if {each.cards for each in result.models} != {"kept"} else table.droplevel(1)


def along_time(blocks: Blocks) -> pd.DataFrame:
    """Average precision by model and block, tidy: `name`, `when`, `value`; all cards kept.

    `when` is the block's middle, as a date or in days of the time column.
    """
    if blocks.plan is None or blocks.scores is None:
        return pd.DataFrame()
    kept, origin = blocks.table[blocks.table["cards"] == "kept"], blocks.scores.rows.origin
    middle = kept["start"] + blocks.plan.block / 2
    when = middle / DAY
    if origin:
        when = pd.to_datetime(origin, utc=True).tz_localize(None) + pd.to_timedelta(middle, unit="s")
    return pd.DataFrame({"name": kept["name"], "when": when, "value": kept["average_precision"]})


def describe(blocks: Blocks, candidate: Candidate) -> str:
    """Say what the blocks are, in how many of them the candidate leads, and what fitting anew gains."""
    if blocks.plan is None or (result := summary(blocks)) is None:
        return blocks.left_out
    of, kept = blocks.plan, blocks.table[blocks.table["cards"] == "kept"]
    wide = kept.set_index(["block", "name"])["average_precision"].unstack()  # noqa: PD010
    once = wide.pop(never(candidate))
    leads = int((wide.idxmax(axis=1) == candidate.name).sum())
    waits = f" that ends {words.duration(of.delay)} before it begins" if of.delay else " before it"
    reached = next(each for each in result.models if (each.name, each.cards) == (candidate.name, "kept"))
    said = [
        f"{len(wide)} blocks of {words.duration(of.block)}, each scored by fits on the window of "
        f"{words.duration(of.train)}{waits}.",
        f"{candidate.name} has the highest average precision in {leads} of them; its mean is "
        f"{words.decimals_between(reached.average_precision, reached.average_precision_ci)}, with a standard deviation "
        f"of {words.decimals(reached.average_precision_sd)} from block to block.",
    ]
    gain = (wide[candidate.name] - once).to_numpy()[1:]
    interval = over_blocks(gain, of, -1.0)
    shown = words.decimals_between(float(gain.mean()), interval, sign="+")
    if interval is None or interval[0] <= 0 <= interval[1]:
        said.append(f"Fitting it anew for each block is not shown to matter ({shown} over the first window's fit).")
    else:
        said.append(
            f"Fitting it anew for each block {'gains' if interval[0] > 0 else 'costs'} average precision: {shown}."
        )
    return " ".join([*said, blocks.left_out]).rstrip()
