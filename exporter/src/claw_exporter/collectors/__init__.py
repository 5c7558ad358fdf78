"""What the exporter process can read: the host, Postgres, Redis and SQL; each module stands on `base`."""
