"""Who may open the embedded warehouse. Each test is a process of its own: one has one warehouse at a time."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from claw_hub.warehouse.testing import EmbeddedProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BEGIN = """
import asyncio, os, sys
from pathlib import Path
from claw_hub.errors import ConflictError, HubError, SettingsError
from claw_hub.warehouse.embedded import Embedded
from claw_hub.warehouse.protocol import Ask, EngineError
path = Path(sys.argv[1])
"""


def run(program: str, path: Path) -> str:
    """Runs a program; returns what it printed. It has to end by itself, and well."""
    command = [sys.executable, "-c", BEGIN + textwrap.dedent(program), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_of_chdb_is_imported_before_a_warehouse_is_opened(tmp_path: Path) -> None:
    program = """
        import claw_hub.warehouse.client, claw_hub.warehouse.migrate
        import claw_hub.warehouse.serve, claw_hub.warehouse.testing
        Embedded(path)
        print([name for name in sys.modules if name.startswith("chdb")], path.exists())
    """
    assert run(program, tmp_path / "data") == "[] False\n"


def test_without_chdb_the_error_says_which_extra_to_install(tmp_path: Path) -> None:
    program = """
        sys.modules["chdb"] = None
        try:
            Embedded(path).open()
        except SettingsError as error:
            print(error)
    """
    assert "pip install 'claw-hub[embedded]'" in run(program, tmp_path / "data")


def test_a_second_process_is_told_who_has_the_directory(warehouse: EmbeddedProcess) -> None:
    command = [sys.executable, "-m", "claw_hub.warehouse.serve", str(warehouse.directory), "--port", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "is open in another process (pid " in done.stderr
    assert "or ask it over HTTP" in done.stderr


def test_a_process_that_is_asked_to_end_gives_the_directory_back_and_ends_well(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    process = EmbeddedProcess(tmp_path / "data", free_port())
    assert process.stop() == 0
    for _ in range(2):
        process.start()
        process.start()
        assert process.stop() == 0


def test_a_process_that_cannot_start_says_so(tmp_path: Path, free_port: Callable[[], int]) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(RuntimeError, match="did not start"):
        EmbeddedProcess(tmp_path / "data", free_port()).start()
    command = [sys.executable, "-m", "claw_hub.warehouse.serve", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "cannot be opened" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_process_has_one_directory_at_a_time(tmp_path: Path) -> None:
    program = """
        one, two = Embedded(path / "one"), Embedded(path / "two")
        one.open()
        try:
            two.open()
        except ConflictError as error:
            print(error)
        one.close()
        one.close()
        two.open()
        print(asyncio.run(two.execute("SELECT 1 AS a")))
        two.close()
    """
    printed = run(program, tmp_path)
    assert "two needs a process of its own" in printed
    assert printed.endswith("[{'a': 1}]\n")


def test_a_damaged_directory_is_an_error_with_its_path(tmp_path: Path) -> None:
    program = """
        embedded = Embedded(path)
        embedded.open()
        asyncio.run(embedded.execute("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a"))
        embedded.close()
        (definition,) = path.glob("store/*/*/t.sql")
        definition.write_text("ATTACH TABLE t (a UInt8) ENGINE = Nothing")
        try:
            embedded.open()
        except HubError as error:
            print(error)
        definition.write_text("ATTACH TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
        embedded.open()
        print(asyncio.run(embedded.execute("SELECT count() AS n FROM t")))
        embedded.close()
    """
    printed = run(program, tmp_path / "data")
    assert f"the warehouse {tmp_path / 'data'} cannot be opened" in printed
    assert printed.endswith("[{'n': 0}]\n")


def test_a_fork_gets_an_error_instead_of_waiting_for_ever(tmp_path: Path) -> None:
    program = """
        import warnings
        warnings.simplefilter("ignore")
        embedded = Embedded(path)
        embedded.open()
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(embedded.execute("SELECT 1"))
            except EngineError as error:
                os._exit(7 if "fork" in str(error) else 1)
            os._exit(2)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(asyncio.run(embedded.execute("SELECT 1 AS a")))
        embedded.close()
    """
    assert run(program, tmp_path / "data") == "7\n[{'a': 1}]\n"


def test_a_closed_warehouse_says_so(tmp_path: Path) -> None:
    program = """
        embedded = Embedded(path)
        try:
            asyncio.run(embedded.execute("SELECT 1"))
        except EngineError as error:
            print(error)
    """
    assert "the warehouse is closed" in run(program, tmp_path / "data")


def test_more_statements_than_may_wait_are_refused_and_what_waits_can_be_given_up(tmp_path: Path) -> None:
    program = """
        async def main():
            slow = [asyncio.create_task(embedded.execute("SELECT sleep(0.5)")) for _ in range(3)]
            await asyncio.sleep(0)
            try:
                await embedded.execute("SELECT 1")
            except EngineError as error:
                print(error.code, error.http_status)
            slow[2].cancel()
            print(len(await asyncio.gather(*slow[:2])))
            print(await embedded.execute("SELECT 1 AS a"))

        embedded = Embedded(path, readers=1, max_waiting=3)
        embedded.open()
        asyncio.run(main())
        embedded.close()
    """
    assert run(program, tmp_path / "data") == "202 503\n2\n[{'a': 1}]\n"


def test_names_of_settings_and_databases_cannot_carry_sql(tmp_path: Path) -> None:
    program = """
        async def code(**options):
            try:
                await embedded.execute("SELECT 1", **options)
            except EngineError as error:
                return error.code

        embedded = Embedded(path)
        embedded.open()
        print(asyncio.run(code(settings={"a = 1; DROP DATABASE x; SET b": "1"})))
        print(asyncio.run(code(settings={"max_threads": "1'; DROP DATABASE x; --"})))
        print(asyncio.run(code(database="x`; DROP DATABASE default; --")))
        print(asyncio.run(embedded.execute("EXISTS DATABASE default")))
        embedded.close()
    """
    assert run(program, tmp_path / "data") == "115\n27\n81\n[{'result': 1}]\n"


def test_a_program_serves_its_warehouse_beside_its_own_work_and_signals(tmp_path: Path) -> None:
    program = """
        import signal
        from claw_hub.warehouse.client import Warehouse
        from claw_hub.warehouse.embedded import create_app
        from claw_hub.warehouse.serve import serving

        async def main():
            ended = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
            async with serving(create_app(embedded)) as url:
                asks = {"api/one": "SELECT {tenant_id:UInt32} AS n"}
                warehouse = Warehouse(url, database="default", queries=asks)
                print(await warehouse.query("api/one", tenant_id=7))
                await warehouse.close()
                try:
                    async with serving(create_app(embedded), port=int(url.rpartition(":")[2])):
                        pass
                except SettingsError as error:
                    print("cannot listen" in str(error))
                os.kill(os.getpid(), signal.SIGTERM)
                await ended.wait()
            print("ended")

        embedded = Embedded(path)
        embedded.open()
        asyncio.run(main())
        embedded.close()
    """
    assert run(program, tmp_path / "data") == "[{'n': 7}]\nTrue\nended\n"


def test_the_owner_migrates_and_inserts_without_http(tmp_path: Path) -> None:
    program = """
        from claw_hub.warehouse.migrate import migrate

        async def main():
            print(len(await migrate(embedded)), await migrate(embedded))
            row = b'{"tenant_id":7,"body":"x"}'
            sql = b"INSERT INTO raw_batches (tenant_id, body) FORMAT JSONEachRow " + row
            answer = await embedded.run(Ask(sql, database="claw"))
            print(answer.written_rows)
            count = "SELECT count() AS n FROM raw_batches WHERE tenant_id = {id:UInt32}"
            print(await embedded.execute(count, database="claw", parameters={"id": "7"}))

        embedded = Embedded(path)
        embedded.open()
        asyncio.run(main())
        embedded.close()
    """
    assert run(program, tmp_path / "data") == "2 []\n1\n[{'n': 1}]\n"
