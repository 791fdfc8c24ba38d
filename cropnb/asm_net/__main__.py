"""`python -m cropnb.asm_net --profile cpu`: train and measure ASM-Net, and record its rows."""

import sys

from cropnb.asm_net.recipe import METHOD
from cropnb.runs.program import main

sys.exit(main(METHOD))
