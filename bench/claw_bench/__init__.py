"""What the middleware adds to a request, beside its peers: processor time and instructions.

``make bench`` and ``make bench-instructions`` run it; docs/PERFORMANCE.md has the tables.
"""
