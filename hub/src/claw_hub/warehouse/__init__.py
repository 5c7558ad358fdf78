"""The room of the warehouse."""
