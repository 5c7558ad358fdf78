"""Carries Alertmanager's notifications to chat bots, and notices when heartbeats stop."""
