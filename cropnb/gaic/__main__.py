"""`python -m cropnb.gaic --profile cpu`: train and measure GAIC, and record its rows."""

import sys

from cropnb.gaic.recipe import METHOD
from cropnb.runs.program import main

sys.exit(main(METHOD))
