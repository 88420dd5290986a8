"""`python -m fraud_utils.report` executes the notebooks."""

import sys

from fraud_utils.report.execute import main

sys.exit(main())
