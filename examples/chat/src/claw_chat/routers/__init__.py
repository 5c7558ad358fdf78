"""The app's endpoints, one module for each thing they are about."""
