#!/bin/sh
# Options and the name of a configuration file are for the server; anything else is a command of its own.
set -eu
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
  set -- redis-server "$@"
fi
exec "$@"
