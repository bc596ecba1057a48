"""Pronghorn and its peers under wrk, side by side on one machine: see __main__ for the method."""
