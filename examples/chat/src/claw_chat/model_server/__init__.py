"""A small OpenAI-compatible model server: latency, errors and token usage can be chosen, also at run time."""
