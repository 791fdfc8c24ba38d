"""`python -m cropnb.vrn --profile cpu`: train and measure VRN and the rows of its Table 2, and record them."""

import sys

from cropnb.vrn.recipe import METHOD
from cropnb.runs.program import main

sys.exit(main(METHOD))
