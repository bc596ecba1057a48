"""The shortest way: an application by name, with settings by name.

Run: python -m pronghorn.compat run.py
`import uvicorn` is Pronghorn there: nothing in the script has to be changed, and uvicorn need not be installed.
"""

import os

import uvicorn

if __name__ == "__main__":
    uvicorn.run("app:app", host="127.0.0.1", port=int(os.environ.get("PORT", "8000")), log_level="info")
