# Nothing to be called from Python: sections are compared from head and kept from http1.
