"""`python -m localworld`: what the Makefile's targets call."""

import sys

from localworld.commandline import main

sys.exit(main())
