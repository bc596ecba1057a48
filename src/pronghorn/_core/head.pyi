# Nothing to be called from Python: the request head is parsed from http1.
