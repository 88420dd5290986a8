#!/usr/bin/env python
"""SageMaker's inference server: `serve` in the image, `python container/serve.py` elsewhere.

The model is loaded once, before the socket listens; worker processes, one a core, are forked from there, so that they
share its memory and a worker that dies is replaced in milliseconds. Environment:

SAGEMAKER_BASE_DIR, SAGEMAKER_BIND_TO_PORT    the tree (/opt/ml) and the port (8080)
SERVE_HOST                                    the address to bind (0.0.0.0)
SAGEMAKER_MODEL_SERVER_WORKERS                worker processes (one a core)
SAGEMAKER_MAX_PAYLOAD_IN_MB                   the largest body (100, as much as batch transform ever sends)
MAX_CONTENT_LENGTH                            the same in bytes; the smaller of the two counts
SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT          what a request takes that does not say (the media type that it sends)
SAGEMAKER_INFERENCE_OUTPUT                    what an answer holds (the score; in JSON also the decision), of
                                              predicted_label, labels, probability, probabilities, raw_score, raw_scores
SAGEMAKER_BATCH                               true where a batch transform asks: headers have to fit split files
SAGEMAKER_MAX_CONCURRENT_TRANSFORMS, SAGEMAKER_BATCH_STRATEGY    suggested to batch transform
FRAUD_MODEL_NAME                              what log lines call the model (nothing), so that two can be told apart
FRAUD_HISTORY                                 where a model with history keeps entities' recent events, for rows that
                                              come without: sqlite:PATH (relative to the tree) or dynamodb:TABLE
FRAUD_HISTORY_TIMEOUT_MS                      how long to wait for them (200); then rows are scored without
"""

from __future__ import annotations

import os
import sys

import numpy

# XGBoost imports these when it finds them, for its scikit-learn interface; serving needs none of them, and they cost
# two seconds and 130 MB.
for name in ("pandas", "sklearn", "scipy.special"):
    sys.modules[name] = None  # type: ignore[assignment]
# SciPy takes every name that NumPy has; these two NumPy imports only when asked for them, which takes 0.1 s.
numpy.f2py = numpy.testing = None  # type: ignore[assignment]
# OpenMP reads this when XGBoost is imported. Its threads do not survive a fork, and a child that takes them for alive
# hangs: so it gets none, and long bodies are scored by threads of ours.
os.environ["OMP_NUM_THREADS"] = "1"

from fraud_utils import serving  # noqa: E402

if __name__ == "__main__":
    sys.exit(serving.run(os.environ))
