"""`python -m cropnb.mars --profile cpu`: train and measure Mars and its ablations, and record their
rows.
"""

import sys

from cropnb.mars.recipe import METHOD
from cropnb.runs.program import main

sys.exit(main(METHOD))
