"""Postgres: dumped while it serves, put back while nobody but we may log in."""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from claw_compose.errors import CommandError
from claw_compose.volumes import new_file, undisturbed

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import IO

    from claw_compose.engine import Stack
    from claw_compose.manifest import Entry

__all__ = ["GLOBALS", "Server", "dump_file"]

GLOBALS: Final = "postgres-globals.sql"
# The password comes from the secret inside the container: it stands in no list of processes.
LOGIN: Final = (
    'PGPASSWORD="$(cat /run/secrets/postgres_superuser_password)" PGHOST=127.0.0.1 PGUSER=postgres; '
    'export PGPASSWORD PGHOST PGUSER; exec "$@"'
)
CREATE_ROLE: Final = re.compile(r"^CREATE ROLE .+;$", re.MULTILINE)
LONGEST_NAME: Final = 63
# Roles whose passwords are secrets of this stack: what stands in secrets/ holds, not what was backed up.
PASSWORDS: Final = {
    "postgres": "postgres_superuser_password",
    "claw": "postgres_claw_password",
    "claw_exporter": "postgres_exporter_password",
}


def dump_file(database: str) -> str:
    """Returns the name of the file that holds a database."""
    return f"postgres-{quote(database, safe='')}.dump"


class Server:
    """The Postgres server in a container.

    Args:
        stack: The stack it belongs to.
        container: Its id; it runs.
    """

    def __init__(self, stack: Stack, container: str) -> None:
        self._stack = stack
        self._container = container

    # -- Out --
    def databases(self) -> list[str]:
        """Returns the names of all databases that hold data."""
        query = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
        return self._ask(query)

    def dump_globals(self, target: Path) -> None:
        """Writes the roles and their grants, passwords as Postgres keeps them."""
        with new_file(target) as file:
            self._run("pg_dumpall", "--globals-only", stdout=file)

    def dump(self, database: str, target: Path) -> None:
        """Writes one database, as of one moment."""
        with new_file(target) as file:
            self._run("pg_dump", "--format=custom", f"--dbname={_connection(database)}", stdout=file)

    # -- Back --
    def restore(self, folder: Path, entries: list[Entry], say: Callable[[str], None]) -> None:
        """Puts roles and databases back; what is replaced stays until its successor is there.

        Raises:
            CommandError: Postgres refused something; the database that stood there before is back.
        """
        for entry in entries:
            if not entry.database:
                self._restore_globals((folder / entry.file).read_text(encoding="utf-8"))
        with self._nobody_else():
            for entry in entries:
                if entry.database:
                    self._restore_database(entry.database, folder / entry.file)
                    say(f"postgres: database {entry.database} is back")
        self._run("vacuumdb", "--all", "--analyze-only", "--quiet")

    def _restore_globals(self, dumped: str) -> None:
        # A role that is there already is no error: what follows says what it may do.
        roles = CREATE_ROLE.sub(
            lambda match: f"DO $claw$BEGIN {match[0]} EXCEPTION WHEN duplicate_object THEN END$claw$;", dumped
        )
        passwords = [
            rf"\set password `cat /run/secrets/{secret}`"
            "\n"
            f"SELECT format('ALTER ROLE {role} PASSWORD %L', :'password')"
            rf" WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') \gexec"
            for role, secret in PASSWORDS.items()
        ]
        # In one session: after it, the password of the backup may be another than the secret's.
        self._script("\n".join(["SET log_statement = 'none';", roles, *passwords, ""]))

    @contextmanager
    def _nobody_else(self) -> Iterator[None]:
        """Closes the server to every role but superusers, and ends their connections."""
        may = "FROM pg_roles WHERE rolcanlogin AND NOT rolsuper"
        closing = self._ask(f"SELECT format('ALTER ROLE %I NOLOGIN;', rolname) {may}")
        opening = [line.replace(" NOLOGIN;", " LOGIN;") for line in closing]
        gone = "pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        try:
            self._script("\n".join([*closing, f"SELECT pg_terminate_backend(pid) FROM {gone};\n"]))  # noqa: S608 - the same
            yield
        finally:
            with undisturbed():
                self._script("\n".join([*opening, ""]))

    def _restore_database(self, name: str, dump: Path) -> None:
        aside = f"{name[: LONGEST_NAME - 15]}_before_restore"
        there = self.databases()
        if aside not in there and name in there:
            self._script(f"ALTER DATABASE {_quoted(name)} RENAME TO {_quoted(aside)};\n")
            there = [*there, aside]
        elif name in there:
            # An earlier try was killed half-way: what has the name is a half, the whole stands aside.
            self._drop(name)
        try:
            with dump.open("rb") as file:
                self._run("pg_restore", "--exit-on-error", "--create", "--dbname=template1", stdin=file)
        except BaseException:
            with undisturbed():
                self._drop(name)
                if aside in there:
                    self._script(f"ALTER DATABASE {_quoted(aside)} RENAME TO {_quoted(name)};\n")
            raise
        self._drop(aside)

    def _drop(self, name: str) -> None:
        self._script(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE);\n")

    # -- How --
    def _ask(self, query: str) -> list[str]:
        return self._run("psql", "-XAtq", "--dbname=template1", "-c", query).stdout.splitlines()

    def _script(self, text: str) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(text.encode())
            file.seek(0)
            self._run("psql", "-Xq", "--set=ON_ERROR_STOP=1", "--dbname=template1", "--file=-", stdin=file)

    def _run(
        self, *command: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
    ) -> subprocess.CompletedProcess[str]:
        words = ["exec", "--interactive", self._container, "sh", "-c", LOGIN, "sh", *command]
        try:
            return self._stack.docker(*words, stdin=stdin, stdout=stdout)
        except CommandError as error:
            raise CommandError(
                f"{command[0]} in postgres: {str(error).rpartition(f'{command[-1]} failed ')[2]}"
            ) from error


def _quoted(name: str) -> str:
    """A name as SQL wants it."""
    return '"' + name.replace('"', '""') + '"'


def _connection(database: str) -> str:
    """A database as a connection string, whatever its name contains."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"
