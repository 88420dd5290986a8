"""What notebooks declare, and what somebody has set."""

import argparse
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_project, write_notebook

from fraud_utils.report import parameters
from fraud_utils.report.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, "0 cells carry the tag 'parameters'"),
        ("seed = 7", "'seed = 7' in the parameters cell"),
        ("seed: int = 3 + 4", "must be a literal"),
        ("seed: int = '7'", "must be a literal of its type"),
        ("seed: Path = 'x'", "one of int, float"),
        ("seed: int = 7; rate: float = 0.5", "each line there is"),
        ("seed: int = 7\nseed: int = 8", "declared twice"),
        ("seed: int = ", "not Python"),
        ("seed: int = 8", "in 01_a.ipynb but 'int = 8' in 02_b.ipynb"),
    ],
)
def test_a_parameters_cell_that_breaks_the_house_rule_is_named(tmp_path, cell, message):
    write_notebook(tmp_path / "01_a.ipynb", "seed: int = 7  # a = b")
    write_notebook(tmp_path / "02_b.ipynb", cell)
    assert parameters.declared([tmp_path / "01_a.ipynb"])["01_a"]["seed"].help == "a = b"
    with pytest.raises(UsageError, match=re.escape(message)) as error:
        parameters.declared([tmp_path / "01_a.ipynb", tmp_path / "02_b.ipynb"])
    assert "02_b.ipynb" in str(error.value)


def test_a_file_that_is_not_a_notebook_is_named(tmp_path):
    (tmp_path / "01_a.ipynb").write_text("<<<<<<< HEAD\n{}")
    with pytest.raises(UsageError, match=r"01_a\.ipynb: not a notebook"):
        parameters.declared([tmp_path / "01_a.ipynb"])


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, parameters.Parameter]:
    project = make_project(tmp_path_factory.mktemp("project"))
    by_notebook = parameters.declared(sorted(project.glob("notebooks/0*.ipynb")))
    return {name: each for declared in by_notebook.values() for name, each in declared.items()}


def asked(**given: Any) -> argparse.Namespace:
    nothing = {"params_file": "", "params": "", "override": [], "data": "", "schema": "", "profile": "", "target": ""}
    return argparse.Namespace(**nothing | given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"params": "sede=7"}, "PARAMS: unknown parameter 'sede'; did you mean 'seed'?"),
        ({"params": "unheard_of=7"}, "no notebook has it (known: behave, costs"),
        ({"params": "seed"}, "not name=value"),
        ({"params": "seed=7.5"}, "'seed' takes int, not '7.5'"),
        ({"params": "seed=true"}, "'seed' takes int"),
        ({"params": "seed=-1"}, "PARAMS: seed is -1; it must be a whole number from 0"),
        ({"params": "rate=nan"}, "'rate' takes float"),
        ({"params": "flag=maybe"}, "'flag' takes bool"),
        ({"params": "costs=[1,x]"}, "'costs' takes list[float]"),
        ({"params": "costs=1"}, "'costs' takes list[float]"),
        ({"params": "run_folder=/tmp"}, "set RUN instead"),
        ({"params": "label='"}, "No closing quotation"),
        ({"profile": "fast"}, "PROFILE: profile is full or quick, not 'fast'"),
        ({"target": "local"}, "TARGET: unknown parameter 'target'"),  # these notebooks have none
        ({"data": "nowhere.csv"}, "DATA=nowhere.csv: no such file"),
        ({"override": ["seed=x"]}, "command line: parameter 'seed' takes int"),
        ({"params_file": "nowhere.yaml"}, "nowhere.yaml: not readable as YAML"),
    ],
    ids=str,
)
def test_a_parameter_that_is_set_wrongly_is_refused_with_where_it_was_set(known, given, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        parameters.given(asked(**given), known)


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("review_cost=-4", "an amount above 0"),
        ("test_share=20", "such as 0.2 for 20 %"),
        ("test_share=0", "a share from 0.01 to 0.99"),
        ("alerts_per_day=-1", "or 0 for no budget"),
        ("tuning_trials=-1", "or 0 for as many as the profile says"),
        ("tuning_seconds=-0.5", "0 or more seconds"),
        ("cards_per_day=-1", "or 0 for no budget"),
        ("train_count=0", "at least 1"),
        ("serve_count=0", "at least 1"),
        ("canary_minutes=61", "from 0 to 60 minutes"),
        ("canary_percent=0", "from 1 to 50 percent"),
        ("autoscale_to=-2", "or 0 for no scaling"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_with_those_that_do(setting, remedy):
    by_notebook = parameters.declared(sorted((ROOT / "notebooks").glob("0*.ipynb")))
    known = {name: each for declared in by_notebook.values() for name, each in declared.items()}
    with pytest.raises(UsageError, match=re.escape(setting.replace("=", " is "))) as error:
        parameters.given(asked(params=setting), known)
    assert remedy in str(error.value)
    assert set(parameters.LIMITS) <= set(known)


def test_types_are_kept_from_text_and_from_yaml(known, tmp_path):
    (tmp_path / "settings.yaml").write_text("rate: 1000\nlabel: '1e3'\nflag: false\ncosts: [1, 2.5]\n")
    expected = {"rate": 1000.0, "label": "1e3", "flag": False, "costs": [1.0, 2.5]}
    for options in ({"params": "rate=1e3 label=1e3 flag=no 'costs=[1, 2.5]'"},
                    {"params_file": str(tmp_path / "settings.yaml")}):  # fmt: skip
        values = parameters.given(asked(**options), known)
        assert values == expected
        assert {name: type(value) for name, value in values.items()} == {n: type(v) for n, v in expected.items()}


def test_an_option_wins_over_the_command_line_that_over_params_and_params_over_the_file(known, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("seed: 1\nrate: 1\nflag: false\nprofile: full\n")
    options = asked(params_file=str(file), params="seed=2 rate=2", override=["seed=3", "profile=full"], profile="quick")
    assert parameters.given(options, known) == {"seed": 3, "rate": 2.0, "flag": False, "profile": "quick"}


def test_a_schema_that_is_wrong_is_refused_before_anything_runs(known, tmp_path):
    (tmp_path / "columns.yaml").write_text("label: Class\nno_such_key: 1\n")
    schema = parameters.Parameter("schema", "str", "", "", "01_first.ipynb")
    with pytest.raises(UsageError, match="no_such_key"):
        parameters.given(asked(schema=str(tmp_path / "columns.yaml")), known | {"schema": schema})
    assert not Path("runs/lab").exists()


@given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    costs=st.lists(st.integers(-(2**53), 2**53)),
)
def test_any_value_comes_through_as_what_it_was(known, seed, rate, costs):
    words = [f"seed={seed}", f"rate={rate!r}", f"costs={costs}"]
    assert parameters.given(asked(override=words), known) == {"seed": seed, "rate": rate, "costs": costs}
