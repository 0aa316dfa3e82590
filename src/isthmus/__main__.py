"""`python -m isthmus`, the same as the command `isthmus`."""

import sys

from isthmus.cli import main

sys.exit(main())
