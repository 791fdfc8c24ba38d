"""`python -m cropnb.vrn --profile cpu`: train and measure rows of Table 2, and record them in the
ledger.
"""

import sys

from cropnb.gaic.program import main
from cropnb.vrn import recipe

sys.exit(main("vrn", recipe))
