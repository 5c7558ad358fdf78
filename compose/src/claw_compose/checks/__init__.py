"""What `make preflight` looks at: small functions, each of which yields what it finds."""
