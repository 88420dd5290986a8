"""The choice that notebook 03 starts from, and the findings that it ends with."""

from pathlib import Path

from fraud_utils import record, words
from fraud_utils.deploy.errors import DeployError


def read_choice(run_folder: str | Path) -> tuple[record.Choice, float]:
    """What notebook 02 chose in this run, and the average precision that it reached on the test set.

    Raises
    ------
    DeployError
        Notebook 02 has not run there.
    """
    sections = record.read(run_folder)
    reached = sections.served.test.average_precision if sections.served else None
    if sections.chosen is None or reached is None:
        raise DeployError(f"{run_folder}: no choice is recorded there; run notebook 02 with the same run_folder first")
    return sections.chosen, reached


def describe(
    choice: record.Choice,
    expected: float,
    reached: float,
    endpoint: record.Endpoint,
    train_count: int = 1,
    share: float = 1.0,
) -> str:
    """The findings, as a Markdown list.

    Parameters
    ----------
    expected, reached : float
        Average precision on the test set, in notebook 02 and by the served scores.
    endpoint : record.Endpoint
        How scores through the endpoint compare with those of the notebook.
    train_count : int
        How many instances trained the model.
    share : float
        Of the legitimate rows, those that notebook 02 learned from; the job learned from all.
    """
    same = "as" if abs(reached - expected) < 1e-6 else f"**not** the {expected:.4f} found"
    came, where, why = "was trained as a SageMaker job", "in notebook 02", []
    if share < 1:
        came += " on all rows"
        why.append(f"the job learned from all legitimate rows, notebook 02 from {words.percent(share)} of them")
    if train_count > 1:
        came += f" on {train_count} instances"
        why.append("several instances draw other rows and merge their quantiles")
    if why and same != "as":
        where += f", since {words.listed(why)}"
    came += " and"
    if endpoint.version:
        came, where = (
            f"is version {endpoint.version} of the model registry, trained elsewhere, and was",
            "in its own run",
        )
    latency, rows = endpoint.latency_ms, "test rows of the sample" if share < 1 else "test rows"
    return words.bullets(
        [
            f"**{choice.name}** {came} served by an endpoint.",
            f"All {endpoint.rows:,} {rows} were scored through the endpoint and by a batch transform; the largest "
            f"difference from scoring in the notebook is {endpoint.max_abs_difference:.2g}.",
            f"Served scores reach an average precision of {reached:.4f} on the test set, {same} {where}.",
            f"Latency: {latency['p50']:.1f} ms median, {latency['p99']:.1f} ms p99, for single rows from this client.",
            "The endpoint and everything that belonged to it are gone."
            if endpoint.deleted
            else "**The endpoint is still there.**",
        ]
    )
