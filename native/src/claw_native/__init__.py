"""Runs the whole stack as plain processes on one machine, without containers."""
