#!/bin/sh
# Does what the image's own script is documented to do, for a container that starts as the user postgres: makes the
# database once, with a password from a file and the scripts of /docker-entrypoint-initdb.d, then becomes the server.
set -eu

if [ "${1#-}" != "$1" ]; then
  set -- postgres "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD_FILE:?Database is uninitialized and superuser password is not specified}"
  user=${POSTGRES_USER:-postgres}
  chmod 00700 "$PGDATA"
  # Words on purpose: they are several options.
  # shellcheck disable=SC2086
  initdb --username="$user" --pwfile="$POSTGRES_PASSWORD_FILE" ${POSTGRES_INITDB_ARGS:-} "$PGDATA"
  printf '\nhost all all all %s\n' "$(postgres -C password_encryption -D "$PGDATA")" >> "$PGDATA/pg_hba.conf"
  PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
  export PGPASSWORD
  # On its socket only: nobody can connect before the scripts have run.
  command=$1
  shift
  pg_ctl -D "$PGDATA" -w -o "-c listen_addresses='' -p 5432 $*" start
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sql) echo "running $file" && psql -v ON_ERROR_STOP=1 --no-psqlrc -U "$user" -d "${POSTGRES_DB:-$user}" -f "$file" ;;
      *.sh) echo "running $file" && sh "$file" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -m fast -w stop
  set -- "$command" "$@"
  unset PGPASSWORD
fi
exec "$@"
