"""`python -m cropnb.la2c --profile cpu`: train and measure agents, and record their rows."""

import sys

from cropnb.la2c.recipe import METHOD
from cropnb.runs.program import main

sys.exit(main(METHOD))
