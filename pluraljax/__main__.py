"""`python -m pluraljax` is the command `pluraljax`."""

import sys

from ._cli import main

if __name__ == "__main__":
    sys.exit(main())
