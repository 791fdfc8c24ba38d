"""`python -m cropnb.vrn --profile cpu`: train and measure the rows of Table 2."""

import sys

from cropnb.runs.program import main
from cropnb.vrn.recipe import METHOD

sys.exit(main(METHOD))
