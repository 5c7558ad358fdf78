#!/bin/sh
# For certbot's --deploy-hook: hands a certificate it got or renewed to the public door.
set -eu
cd "$(dirname "$0")/.."
# Containers must be able to read them; the folder above is closed to other users.
install -m 0644 "$RENEWED_LINEAGE/privkey.pem" "$RENEWED_LINEAGE/fullchain.pem" secrets/tls/
exec docker compose --env-file .env.prod -f docker-compose.prod.yml exec -T nginx nginx -s reload
