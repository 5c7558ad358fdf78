"""Draws the generated dashboards in a browser where there is no Grafana."""
