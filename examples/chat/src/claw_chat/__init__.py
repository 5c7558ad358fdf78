"""An example chat back end as users write them, measured by claw-exporter."""
