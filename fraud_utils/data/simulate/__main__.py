"""`python -m fraud_utils.data.simulate` writes simulated transactions to a file."""

from fraud_utils.data.simulate.generate import main

main()
