"""Load whose every request is accounted for: who served it, and whether its client got all of the right answer."""
