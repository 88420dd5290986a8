"""Treatments of the imbalance."""

import subprocess
import sys

import numpy as np
import pytest

from fraud_utils import models
from fraud_utils.models import Treatment

Y = (np.arange(3000) % 50 == 0).astype(np.int8)
X = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)
LEFT = {
    "none": (2940, 60),
    "class weight": (2940, 60),
    "undersample 1:1": (60, 60),
    "undersample 1:10": (600, 60),
    "undersample 1:100": (2940, 60),  # the rows are more balanced than that already
    "SMOTE": (2940, 2940),
    "SMOTE 1:10": (2940, 294),
    "Borderline-SMOTE 1:10": (2940, 294),
    "SMOTE 1:1000": (2940, 60),
}


@pytest.mark.parametrize("name", LEFT)
def test_a_treatment_leaves_as_many_rows_as_it_says(name):
    treatment = Treatment.parse(name)
    sampler = treatment.sampler(3)
    sampled = (X, Y) if sampler is None else sampler.fit_resample(X, Y)
    for rows, labels in (sampled, treatment.resample(X, Y, 3)):
        assert ((labels == 0).sum(), (labels == 1).sum()) == LEFT[name]
        assert len(rows) == len(labels)
    counted = treatment.counts(Y)
    assert counted == ((2940, 2940) if name == "class weight" else LEFT[name])  # weight of rows that stay as they are
    assert treatment.kept_share(Y) == models.kept_share(name, Y) == pytest.approx(60 / 2940 * counted[0] / counted[1])
    assert treatment.positive_weight(Y) == pytest.approx(2940 / 60 if name == "class weight" else 1)


@pytest.mark.parametrize("name", ["undersample 1:10", "SMOTE 1:10", "Borderline-SMOTE 1:10"])
def test_rows_are_drawn_by_the_seed_and_as_the_sampler_draws_them(name):
    treatment = Treatment.parse(name)
    drawn = treatment.resample(X, Y, 3)
    for one, two in zip(drawn, treatment.sampler(3).fit_resample(X, Y), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(drawn[0], treatment.resample(X, Y, 4)[0])


def test_only_what_interpolates_between_rows_needs_complete_ones():
    needing = {form for form in models.FORMS if Treatment.parse(form.replace("N", "5")).needs_complete_rows}
    assert needing == {"SMOTE", "SMOTE 1:N", "Borderline-SMOTE 1:N"}


@pytest.mark.parametrize(
    "wrong",
    [
        "smote",
        "undersample",
        "undersample 1:0",
        "undersample 1:x",
        "undersample 1:²",
        "SMOTE 1:-3",
        "SMOTE 2:1",
        "none 1:1",
        "",
    ],
)
def test_an_unknown_treatment_is_refused_with_the_known_ones(wrong):
    with pytest.raises(ValueError, match=r"^unknown treatment '.*'; it must be one of none, .*SMOTE 1:N, "):
        Treatment.parse(wrong)
    with pytest.raises(ValueError, match="unknown treatment"):
        models.Candidate("xgboost", wrong)


def test_knowing_the_treatments_imports_no_learners():
    """The container checks a name before it reads data; what it imports for that delays its first message."""
    script = "import sys, fraud_utils.models as m; m.Treatment.parse('SMOTE'); print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("name", LEFT)
def test_an_obstacle_is_named_exactly_where_the_rows_would_stay_as_they_are(name):
    treatment = Treatment.parse(name)
    same = treatment.counts(Y) == (2940, 60) and name != "none"
    assert bool(treatment.obstacle(Y)) == same == (name in ("undersample 1:100", "SMOTE 1:1000"))
    assert bool(treatment.obstacle(Y, complete=False)) == (same or "SMOTE" in name)


@pytest.mark.parametrize("name", ["undersample 1:10", "undersample 1:1", "undersample 1:100"])
def test_every_part_keeps_the_same_share_and_all_together_what_one_place_would(name):
    treatment = Treatment.parse(name)
    labels = [Y[:1000], Y[1000:2500], Y[2500:][Y[2500:] == 0]]  # the last has no fraud
    whole = np.concatenate(labels)
    kept = []
    for place, own in enumerate(labels):
        rows = np.arange(len(own), dtype=np.float32)[:, None]
        left, y = treatment.resample(rows, own, 3, models.Part(labels, place))
        again, _ = treatment.resample(rows, own, 3, models.Part(labels, place))
        assert (left == again).all()
        assert len(np.unique(left)) == len(left)
        assert (own[left[:, 0].astype(int)] == y).all()
        assert y.sum() == own.sum()
        kept.append((y == 0).sum())
    share = treatment.counts(whole)[0] / (whole == 0).sum()
    assert all(abs(count - share * (own == 0).sum()) <= 1 for count, own in zip(kept, labels, strict=True))
    assert sum(kept) == treatment.counts(whole)[0]


def test_smote_of_a_part_is_refused():
    with pytest.raises(ValueError, match="SMOTE needs all rows in one place"):
        Treatment.parse("SMOTE").resample(X, Y, 3, models.Part([Y, Y], 0))
