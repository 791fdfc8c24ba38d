"""`python -m cropnb.gaic --profile cpu`: train and measure the GAIC baseline, and record its rows."""

import sys

from cropnb.gaic import recipe
from cropnb.gaic.program import main

sys.exit(main("gaic", recipe))
