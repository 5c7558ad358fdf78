"""The room of the edge."""
