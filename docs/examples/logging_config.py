"""The access log in a format of one's own, by changing the default configuration.

Run: python -m pronghorn.compat logging_config.py
`import uvicorn` is Pronghorn there: nothing in the script has to be changed, and uvicorn need not be installed.
"""

import copy
import os

import uvicorn
from uvicorn.config import LOGGING_CONFIG

config = copy.deepcopy(LOGGING_CONFIG)
config["formatters"]["access"]["fmt"] = "%(asctime)s %(client_addr)s %(request_line)s -> %(status_code)s"
config["formatters"]["access"]["use_colors"] = False
config["loggers"]["uvicorn.error"]["level"] = "INFO"

if __name__ == "__main__":
    uvicorn.run("app:app", port=int(os.environ.get("PORT", "8000")), log_config=config)
