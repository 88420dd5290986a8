"""`python -m fraud_utils.report` executes the notebooks."""

import sys

from fraud_utils.report.program import main

sys.exit(main())
