"""An application that a function makes.

Run: python factory.py
"""

import os

import pronghorn

if __name__ == "__main__":
    pronghorn.run("app:make_app", factory=True, port=int(os.environ.get("PORT", "8000")), headers=[("X-Made", "yes")])
