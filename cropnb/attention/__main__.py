"""`python -m cropnb.attention --profile cpu`: train and measure the readout of attention."""

import sys

from cropnb.attention.recipe import METHOD
from cropnb.runs.program import main

sys.exit(main(METHOD))
