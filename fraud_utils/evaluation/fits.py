"""Many fits: side by side, one thread each, each kept once done, so that a killed or repeated run goes on."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from fraud_utils import artifact, models, project
from fraud_utils.evaluation.rows import Protocol
from fraud_utils.models import Candidate

CACHE_BYTES = 2 << 30
_LIBRARIES = ("numpy", "scikit-learn", "imbalanced-learn", "xgboost-cpu" if sys.platform == "linux" else "xgboost")
# What decides a fit's result besides its rows and settings; read once, since a file may be edited while an older
# version of it runs.
_PACKAGES = [Path(package.__file__ or "").parent for package in (models, artifact)]
_FILES = sorted(file for folder in _PACKAGES for file in folder.glob("*.py"))
_SOURCES = b"".join(file.read_bytes() for file in [*_FILES, Path(__file__)])
_CODE = hashlib.sha256(_SOURCES).hexdigest() + ",".join(map(version, _LIBRARIES))


@dataclass(frozen=True)
class Fit:
    """One fit to make: on which rows, and which rows it scores.

    Attributes
    ----------
    train, new : numpy.ndarray of int
        Places of rows in the matrix.
    label : str
        What the progress line says beside the candidate's name.
    share : float
        Of the legitimate rows that are here (`Rows.share`), for which probabilities are corrected, too.
    """

    candidate: Candidate
    train: np.ndarray
    new: np.ndarray
    seed: int = 7
    label: str = ""
    share: float = 1.0

    def cost(self, y: np.ndarray) -> float:
        """Relative to other fits, as `Candidate.cost`."""
        return self.candidate.cost(y[self.train])


@dataclass(frozen=True)
class Fitted:
    """What a fit gave.

    Attributes
    ----------
    scores : numpy.ndarray of float64
        Of the new rows; probabilities corrected for the treatment's prior, or anomaly scores (higher is stranger) of
        an unsupervised learner.
    seconds : float
        Of the fit alone.
    booster : bytes
        XGBoost's model in its own format, empty for other learners.
    """

    scores: np.ndarray
    seconds: float
    booster: bytes = b""


def run(
    fits: Sequence[Fit], X: np.ndarray, y: np.ndarray, what: str, cache: str | Path = "", n_jobs: int | None = None
) -> list[Fitted]:
    """Make fits, or find them in the cache.

    Parameters
    ----------
    X : numpy.ndarray of float32, shape (rows, columns)
    y : numpy.ndarray, shape (rows,)
        Each fit sees the labels of its own training rows only.
    what : str
        Heads the progress lines.
    cache : str or Path
        Folder that keeps each fit under the SHA-256 of its rows, candidate, seed, code and library versions; empty
        to fit anew.
    n_jobs : int, optional
        Fits side by side on this machine; one a core when not given. Where `DASK_SCHEDULER_ADDRESS` names a
        scheduler, the workers of its cluster make them instead, each as many as it has threads.

    Returns
    -------
    list of Fitted
        In the order of `fits`.
    """
    import joblib
    from tqdm import tqdm

    folder = project.resolve(cache) if cache else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder)
    data = _digest(X) if folder else b""
    paths = [folder / f"{_key(fit, data, y)}.npz" if folder else None for fit in fits]
    done: dict[int, Fitted] = {}
    for i, path in enumerate(paths):
        if path and (fitted := _read(path)):
            done[i] = fitted
    if done:
        found = sum(fits[i].cost(y) for i in done)
        say(f"{what}: {len(done)} of {len(fits)} fits found in {folder.name if folder else ''}", -found)
    missing = [i for i in range(len(fits)) if i not in done]
    if missing:
        calls = ((i, fits[i], y[fits[i].train]) for i in missing)
        if address := os.environ.get("DASK_SCHEDULER_ADDRESS"):
            made = _on_a_cluster(address, calls, X)
        else:
            made = _here(min(n_jobs or joblib.cpu_count(), len(missing)), calls, X)
        bar = tqdm(made, total=len(missing), desc=what, unit="fit", file=sys.stdout, mininterval=1)
        for count, (i, fitted) in enumerate(bar, 1):
            done[i] = fitted
            if path := paths[i]:
                _keep(path, fitted)
            which = f"{fits[i].candidate.name} {fits[i].label}".strip()
            say(f"{what}: {count} of {len(missing)}, {which}, {fitted.seconds:.1f} s", fits[i].cost(y))
    return [done[i] for i in range(len(fits))]


def _here(workers: int, calls: Iterable[tuple[int, Fit, np.ndarray]], X: np.ndarray) -> Iterator[tuple[int, Fitted]]:
    """Side by side on this machine; each as soon as it is made."""
    import joblib

    pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    return pool(joblib.delayed(_fit)(*each, X) for each in calls)


def _on_a_cluster(
    address: str, calls: Iterable[tuple[int, Fit, np.ndarray]], X: np.ndarray
) -> Iterator[tuple[int, Fitted]]:
    """On the workers of a Dask cluster, which get the rows once; those of a worker that dies are made by another.

    Raises
    ------
    ImportError, OSError, RuntimeError
        Without Dask, a scheduler, workers, or where a worker's code or libraries are others than these here.
    """
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        error.add_note("DASK_SCHEDULER_ADDRESS names a cluster: pip install 'dask[distributed]', or unset it")
        raise
    with Client(address, set_as_default=False) as client:
        codes = client.run(_code)
        if not codes:
            raise RuntimeError(f"{address}: the cluster has no workers; start some, or unset DASK_SCHEDULER_ADDRESS")
        if strange := sorted(worker for worker, code in codes.items() if code != _CODE):
            raise RuntimeError(f"other code or library versions than here on {', '.join(strange)}: install the same")
        rows = client.scatter(X, broadcast=True)
        futures = [client.submit(_fit, *each, rows, pure=False) for each in calls]
        for _, result in as_completed(futures, loop=client.loop, with_results=True):
            yield result


def _code() -> str:
    return _CODE


def _fit(number: int, fit: Fit, y: np.ndarray, X: np.ndarray) -> tuple[int, Fitted]:
    """Fit and score; `y` holds the labels of the training rows alone."""
    from sklearn.exceptions import ConvergenceWarning

    train = X[fit.train]
    if fit.candidate.kind == "unsupervised" and fit.share < 1:  # it is to see frauds as rare as they are
        seen = (y == 0) | (np.random.default_rng(fit.seed).random(len(y)) < fit.share)
        train, y = train[seen], y[seen]
    empty = np.isnan(train).all(axis=0)  # a column that begins later; some learners stop at one without a value
    train[:, empty] = 0
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # networks stop after a fixed number of passes, on purpose
        model = models.build(fit.candidate, fit.seed).fit(train, y)
    seconds = time.perf_counter() - start
    new = X[fit.new]
    new[:, empty] = 0
    if hasattr(model, "predict_proba"):
        scores = model.predict_proba(new)[:, 1].astype(np.float64)
        scores = artifact.prior_correction(scores, fit.candidate.treatment.kept_share(y) * fit.share)
    else:
        scores = -model.score_samples(new).astype(np.float64)
    booster = bytes(model[-1].booster_.save_raw("ubj")) if fit.candidate.learner == "xgboost" else b""
    return number, Fitted(scores, seconds, booster)


def _keep(path: Path, fitted: Fitted) -> None:
    content = io.BytesIO()
    booster = np.frombuffer(fitted.booster, dtype=np.uint8)
    np.savez(content, scores=fitted.scores, seconds=fitted.seconds, booster=booster)
    project.write(path, content.getvalue())


def _read(path: Path) -> Fitted | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            fitted = Fitted(kept["scores"], float(kept["seconds"]), kept["booster"].tobytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # damaged: fit again
        path.unlink(missing_ok=True)
        return None
    with suppress(FileNotFoundError):  # as below
        os.utime(path)
    return fitted


def _prune(folder: Path) -> None:
    """Forget the fits that were not asked for longest, until the rest is within `CACHE_BYTES`."""
    files = []
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # a run beside this one has renamed it, or forgotten it first
            about = file.stat()
            files.append((-about.st_mtime, about.st_size, file))
    total = 0
    for _, size, file in sorted(files):
        total += size
        if total > CACHE_BYTES:
            file.unlink(missing_ok=True)


def _digest(values: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values)).digest()


def _key(fit: Fit, data: bytes, y: np.ndarray) -> str:
    candidate = fit.candidate
    settings = [candidate.learner, candidate.imbalance, dict(candidate.hyperparameters), fit.seed, fit.share, _CODE]
    if candidate.estimator is not None:
        own = candidate.estimator
        settings.append([str(type(own)), {key: repr(value) for key, value in own.get_params().items()}])
    parts = [_digest(np.asarray(part)) for part in (fit.train, fit.new, y[fit.train])]
    return hashlib.sha256(b"".join([json.dumps(settings, sort_keys=True).encode(), data, *parts])).hexdigest()


def announce(candidates: Sequence[Candidate], y: np.ndarray, protocol: Protocol, trials: int) -> None:
    """Tell whoever follows what all fits of a comparison will cost, so that it can say how much of it is left.

    Relative costs, as `Candidate.cost` has them. Which candidates are on the shortlist is not known yet, so that
    forward chaining and random splits count for an XGBoost and the costliest candidate. What is measured wrongly, and
    whether this leaks, counts for three more XGBoosts.
    """
    whole = [candidate.cost(y) for candidate in candidates]
    boosted = max((each.cost(y) for each in candidates if each.learner == "xgboost"), default=0.0)
    of_folds = protocol.repeats * (protocol.folds - 1)
    searched = max(trials - 1, 1) * (protocol.folds - 1) * boosted  # the first two share their fits
    shortlist = (boosted + max(whole)) * (2 + protocol.random_splits)
    say("", sum(whole) * (of_folds + 1) + searched + shortlist + 3 * of_folds * boosted)


def say(line: str, cost: float = 0.0) -> None:
    """Add a line to the file that whoever started the notebook follows, if there is one.

    Parameters
    ----------
    line : str
        About a fit that was made; empty where `cost` is that of all fits to come.
    cost : float
        Of the fit; negative where fits of that cost need not be made.
    """
    if path := os.environ.get("FRAUD_PROGRESS"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{line}\t{cost:.6g}\n")
