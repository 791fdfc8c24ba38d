"""`python -m cropnb.la2c --profile cpu`: train and measure agents, and record their rows in the
ledger.
"""

import sys

from cropnb.la2c.program import main

sys.exit(main())
