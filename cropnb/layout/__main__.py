"""`python -m cropnb.layout --profile cpu`: train and measure the layout network."""

import sys

from cropnb.runs.program import main
from cropnb.layout.recipe import METHOD

sys.exit(main(METHOD))
