"""``python -m pronghorn.compat script.py``."""

import sys

from pronghorn.compat import main

if __name__ == "__main__":
    main(sys.argv[1:])
