"""`python -m cropnb.set_prediction --profile cpu`: train and measure variants of the set predictor,
and record their rows.
"""

import sys

from cropnb.runs.program import main
from cropnb.set_prediction.recipe import METHOD

sys.exit(main(METHOD))
