# Nothing to be called from Python: a request head is examined from http1.
