"""`python -m cropnb.layout --profile cpu`: train and measure the layout network."""

import sys

from cropnb.layout.recipe import METHOD
from cropnb.runs.program import main

sys.exit(main(METHOD))
