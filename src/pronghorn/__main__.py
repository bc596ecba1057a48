"""``python -m pronghorn`` is ``pronghorn``."""

from pronghorn.cli import main

if __name__ == "__main__":
    main(prog_name="pronghorn")
