"""`python -m fraud_utils.data` downloads the reference set."""

import sys

from fraud_utils.data.download import main

sys.exit(main())
