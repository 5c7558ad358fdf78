"""`make drills`: breaks the running stack for real, and says which alerts came, and which should not have."""
