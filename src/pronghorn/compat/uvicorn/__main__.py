"""``python -m uvicorn main:app``."""

from pronghorn import main

if __name__ == "__main__":
    main(prog_name="uvicorn")
