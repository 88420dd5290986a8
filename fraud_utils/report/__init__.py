"""The notebooks executed headless into one folder a run, its pages, and all runs compared.

Three programs: `python -m fraud_utils.report` (the run), `.compare_runs` (all runs) and `.example` (what git keeps).
No other room builds on this one.
"""

__all__: list[str] = []
