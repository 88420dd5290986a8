#!/usr/bin/env python
"""SageMaker's training job: `train` in the image, `python container/train.py` elsewhere.

Reads hyperparameters and channels under /opt/ml (or $SAGEMAKER_BASE_DIR), fits what notebook 02 fits for the same
rows, hyperparameters and seed, and leaves a model folder. Exit status: 0 done (or stopped by SIGTERM with the trees
grown so far), 1 something that the user can fix, 2 a fault of this program; for 1 and 2, output/failure says why.
"""

import signal
import sys
import threading


def run() -> int:
    """Listen for SIGTERM before the imports, which take seconds: without a handler, process 1 never sees the signal."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    from fraud_utils.training import main

    return main(stop.is_set)


if __name__ == "__main__":
    sys.exit(run())
