"""A load generator: believable users of the chat app, on this machine only."""
