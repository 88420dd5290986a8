"""`python -m fraud_utils.deploy cleanup` deletes what deployments left."""

import sys

from fraud_utils.deploy.deployment import main

sys.exit(main())
