# Nothing to be called from Python: messages are read from exchange and session.
