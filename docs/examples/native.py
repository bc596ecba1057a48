"""The same with Pronghorn's own name.

Run: python native.py
"""

import os

import pronghorn

if __name__ == "__main__":
    pronghorn.run("app:app", host="127.0.0.1", port=int(os.environ.get("PORT", "8000")), log_level="info")
