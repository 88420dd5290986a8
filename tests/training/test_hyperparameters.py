"""hyperparameters.json: every fault is named, with what to write instead."""

import json

import pytest

from fraud_utils import models
from fraud_utils.data import ULB, Schema
from fraud_utils.training.hyperparameters import SetupError, read_hyperparameters


@pytest.fixture
def given(tmp_path):
    def read(hyperparameters, **channel):
        """Read hyperparameters, and a channel `schema` with these files where there are any."""
        file, folder = tmp_path / "hyperparameters.json", tmp_path / "schema"
        file.write_text(json.dumps(hyperparameters))
        for name, content in channel.items():
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.json").write_text(content)
        return read_hyperparameters(file, folder)

    return read


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"max_dept": "5"}, "'max_dept' is unknown; did you mean 'max_depth'"),
        ({"reg_lamda": "5"}, "'reg_lamda' is unknown; did you mean 'reg_lambda'"),
        ({"reg_lambda": "-5"}, "'reg_lambda' is '-5'; it must be at least 0"),
        ({"reg_lambda": "5", "lambda": "5"}, "'lambda' and 'reg_lambda' are one and the same; give one of them"),
        ({"_kfold": "5"}, "'_kfold' would not be acted on .*; 'folds' judges settings on later blocks of time"),
        ({"folds": "1"}, "'folds' is '1'; it must be 0, or at least 2"),
        ({"_num_cv_round": "5"}, "'_num_cv_round' would not be acted on"),
        ({"device": "cuda"}, "'device' is 'cuda'; it needs a GPU and XGBoost built for one"),
        ({"objective": "reg:squarederror"}, "it can only be binary:logistic: scores are probabilities"),
        ({"tree_method": "exact"}, "'tree_method' is 'exact'; it can only be hist"),
        ({"eval_metric": "aucpr,rmse"}, "'eval_metric' is 'aucpr,rmse'; it can only be logloss, aucpr or both"),
        ({"scale_pos_weight": "577"}, "it can only be 1: the weight of a fraud is set by 'imbalance'"),
        ({"monotone_constraints": "(1,0)"}, "'monotone_constraints' is .* they go by position"),
        ({"grow_policy": "leafwise"}, "'grow_policy' is 'leafwise'; it must be depthwise or lossguide"),
        ({"verbosity": "4"}, "'verbosity' is '4'; it must be at least 0 and at most 3"),
        ({"csv_weights": "yes"}, "'csv_weights' is 'yes'; it must be 0 or 1"),
        ({"n_jobs": "5"}, "'n_jobs' is unknown; known: num_round, eta"),
        ({"max_depth": "deep"}, "'max_depth' is 'deep'; it must be a whole number"),
        ({"max_depth": "2.5"}, "'max_depth' is '2.5'; it must be a whole number"),
        ({"eta": "0"}, "'eta' is '0'; it must be above 0 and at most 1"),
        ({"eta": "nan"}, "'eta' is 'nan'; it must be"),
        ({"subsample": "1.5"}, "'subsample' is '1.5'; it must be above 0 and at most 1"),
        ({"num_round": "0"}, "'num_round' is '0'; it must be at least 1"),
        ({"device": "gpu"}, "'device' is 'gpu'; it must be cpu or cuda"),
        ({"unnamed_rows": "some"}, "'unnamed_rows' is 'some'; it must be schema or features"),
        ({"imbalance": "SMOKE"}, "'imbalance' is 'SMOKE'; it must be one of none, class weight"),
        ({"thresholds": "0.5"}, "'thresholds' is '0.5'; it must be a JSON object"),
        ({"thresholds": '{"f1": 2}'}, "between 0 and 1; 'f1' is 2"),
        ({"thresholds": '{"f1": 0.3, "cost": 0.1}'}, "'decides' is ''; it must be one of f1, cost"),
        ({"thresholds": '{"f1": 0.3}', "decides": "cost"}, "'decides' is 'cost'; it must be one of f1"),
        ({"tiers": '{"review": 0.3}'}, "'tiers' is .* it must hold 'review' and 'block'"),
        ({"tiers": '{"review": 0.3, "block": 0.5, "deny": 1}'}, "beside them only block_cost and review_cost"),
        ({"tiers": '{"review": 0.3, "block": NaN}'}, "must map names to numbers from 0; 'block' is nan"),
        ({"tiers": '{"review": 0.3, "block": 0.2}'}, "must review from a score at or below that from which it blocks"),
        ({"schema": '{"nam": "x"}'}, "it is not a schema: unknown key 'nam'; did you mean 'name'"),
        ({"eta": "-1", "max_dept": "3"}, "'eta' is '-1'.*; hyperparameter 'max_dept' is unknown"),
        (["eta"], "must hold a JSON object of names and values"),
    ],
)
def test_a_hyperparameter_that_cannot_be_used_is_refused(given, hyperparameters, message):
    with pytest.raises(SetupError, match=message):
        given(hyperparameters)


def test_a_tuning_jobs_own_names_are_passed_over(given):
    assert given({"_tuning_objective_metric": "validation_log_loss", "eta": "0.2"}).booster["eta"] == 0.2


@pytest.mark.parametrize(
    ("alias", "name"),
    [("learning_rate", "eta"), ("min_split_loss", "gamma"), ("reg_lambda", "lambda"), ("reg_alpha", "alpha")],
)
def test_xgboosts_other_names_mean_the_same(given, alias, name):
    assert given({alias: "0.5"}) == given({name: "0.5"})


def test_what_awss_container_is_told_may_stay_where_it_says_the_same(given):
    said = {"objective": "binary:logistic", "tree_method": "hist", "eval_metric": "aucpr,logloss", "booster": "gbtree"}
    said |= {"scale_pos_weight": "1", "save_model_on_termination": "true"}
    assert given(said) == given({})
    assert given({"grow_policy": "lossguide", "verbosity": "2"}).booster == models.XGBOOST | {
        "grow_policy": "lossguide",
        "verbosity": 2,
    }


def test_what_is_not_given_is_what_notebook_02_fits(given, tmp_path):
    assert given({"eta": "0.2"}).booster == models.XGBOOST | {"eta": 0.2}
    nothing = read_hyperparameters(tmp_path / "missing.json")
    assert (nothing.booster, nothing.imbalance, nothing.decides) == (models.XGBOOST, "none", "default")


WIDE = Schema(name="wide", label="y", time="t", amount=None, features=tuple(f"a long name {i}" for i in range(500)))


def test_a_schema_of_any_length_comes_in_a_channel_of_its_own(given):
    text = json.dumps(WIDE.to_dict())
    assert len(text) > 2_500  # more than a hyperparameter may hold
    assert given({}).schema == ULB
    assert given({}, schema=text).schema == WIDE
    assert given({"schema": text}).schema == WIDE
    assert given({"schema": text}, schema=json.dumps(WIDE.to_dict(), indent=2)).schema == WIDE  # twice the same


@pytest.mark.parametrize(
    ("hyperparameters", "channel", "message"),
    [
        ({"schema": ULB.to_dict()}, {"schema": json.dumps(WIDE.to_dict())}, "'schema' and schema/schema.json differ"),
        ({}, {"columns": "{}"}, "channel 'schema' must hold schema.json; it holds columns.json"),
        ({}, {"schema": "{"}, r"schema/schema.json must be a JSON object \("),
        ({}, {"schema": '{"nam": 1}'}, "schema/schema.json is not a schema: unknown key 'nam'; did you mean 'name'"),
        ({"max_dept": 1}, {"schema": "[]"}, "'max_dept' is unknown.*; schema/schema.json must be a JSON object"),
    ],
)
def test_a_schema_channel_that_cannot_be_used_is_refused(given, hyperparameters, channel, message):
    with pytest.raises(SetupError, match=message):
        given(hyperparameters, **channel)
