"""What the clients of stores do, told to listeners; one module a driver, none of which is imported here.

``taps`` is what they share. A listener of operations is called with an operation's name, its seconds and the
exception that ended it; a listener of waits with seconds and whether the pool could not serve in time.
"""
