"""`python -m fraud_utils.local_sagemaker` serves SageMaker's API on this machine."""

import sys

from fraud_utils.local_sagemaker.server import main

sys.exit(main())
