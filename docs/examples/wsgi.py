"""A WSGI application, in threads: pip install 'pronghorn[wsgi]'.

Run: python wsgi.py
"""

import os

import pronghorn


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"Hello from {environ['PATH_INFO']}".encode()]


if __name__ == "__main__":
    pronghorn.run(app, interface="wsgi", port=int(os.environ.get("PORT", "8000")))
