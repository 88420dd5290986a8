"""How good candidates are: out-of-fold scores, metrics with intervals, decisions, the comparison and the choice."""
