"""Simulated transactions that look like the reference set, for machines without it.

They are for trying things out, not for findings: every page made from them says SIMULATED.

**Method.** Everything is drawn from the aggregates in `aggregates.json` (hourly counts, quantiles, conditional shares,
moments, weights), which `fit` writes from the real file: under 100 kB, and no row can be read from them. Legitimate
transactions are proposed by sequential probability trees over independent components and kept by weight, all fitted on
two thirds of the seconds. Frauds are of several kinds, each a Gaussian copula, and the mixture of kinds drifts from day
to day. Some legitimate transactions look like frauds; some rows are exact copies that share their second. The same seed
gives the same bytes: sums of products are sums of integers, which no order of summation rounds.

**How near they come.** Average precision at full size, two folds pooled, over five seeds:

=====================  =====  ==============
learner                real   simulated
=====================  =====  ==============
XGBoost                0.842  0.835 to 0.861
random forest          0.798  0.748 to 0.808
logistic regression    0.743  0.731 to 0.779
isolation forest       0.135  0.089 to 0.128
=====================  =====  ==============

XGBoost trained on them reaches 0.80 on the real rows. On the third of the seconds that the fit did not see, histogram
gradient boosting (scikit-learn's defaults, 80,000 rows to learn from) tells simulated legitimate rows from real ones
with a ROC AUC of 0.78, logistic regression with 0.53, and XGBoost of 150 trees of depth 6 with 0.86. Without the
weights the first and the last are 0.83 and 0.90; before the trees, a Gaussian copula gave 0.99 and mixtures of
Gaussians 0.89 to 0.91. More trees in the weights come nearer still, but keep fewer proposals and do not fit into
100 kB. `tests/bench/bench_simulate.py` measures all of this.

`python -m fraud_utils.data.simulate many.parquet --rows 10000000 --days 70` writes any number in constant memory.

`simulate_cards` makes another table, of cards at merchants, that resembles no real one: `merchants` says how.
"""

from fraud_utils.data.simulate.generate import GENERATOR_VERSION, simulate_chunks, simulate_transactions
from fraud_utils.data.simulate.merchants import simulate_cards
from fraud_utils.data.simulate.write import write_chunks

__all__ = [
    "GENERATOR_VERSION",
    "simulate_cards",
    "simulate_chunks",
    "simulate_transactions",
    "write_chunks",
]
