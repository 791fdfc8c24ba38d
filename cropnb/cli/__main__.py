"""`python -m cropnb.cli`, where the `cropnb` command isn't on the path."""

import sys

from cropnb.cli import main

sys.exit(main())
