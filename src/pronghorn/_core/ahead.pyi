# Nothing to be called from Python: http1 keeps the read-ahead.
