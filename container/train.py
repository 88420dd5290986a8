#!/usr/bin/env python
"""SageMaker's training job: `train` in the image, `python container/train.py` elsewhere.

Reads hyperparameters and channels under /opt/ml (or $SAGEMAKER_BASE_DIR), fits what notebook 02 fits for the same
rows, hyperparameters and seed, and leaves a model folder. Exit status: 0 done (or stopped by SIGTERM with the trees
grown so far), 1 something that the user can fix, 2 a fault of this program; for 1 and 2, output/failure says why.
"""

import os
import signal
import sys
import threading


def run() -> int:
    """Listen for SIGTERM before the imports, which take seconds: without a handler, process 1 never sees the signal."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, end_at_once)
    import_xgboost()
    from fraud_utils.training import main

    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    return main(stop.is_set)


def import_xgboost() -> None:
    """Import XGBoost without its scikit-learn interface, which nothing here uses.

    It imports scikit-learn, and that SciPy's statistics: 1.4 of the 2.0 CPU seconds that a job's imports take, and
    SciPy's special functions another 0.15. Jobs that make rows (SMOTE) or judge settings on folds import scikit-learn
    themselves. SciPy takes every name that NumPy has, of which two would be imported only then, in 0.1.
    """
    import numpy

    names = ("sklearn", "scipy.special")
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]
    numpy.f2py = numpy.testing = None  # type: ignore[assignment]
    import xgboost  # noqa: F401

    del numpy.f2py, numpy.testing
    for name in names:
        del sys.modules[name]


def end_at_once(*_: object) -> None:
    """What SIGTERM does while there is nothing yet to save."""
    print("stopped by SIGTERM before the first round; there is no model to save", flush=True)
    os._exit(0)


if __name__ == "__main__":
    status = run()
    sys.stdout.flush()
    os._exit(status)  # of a job on several hosts, XGBoost's threads may wait for one that is gone
