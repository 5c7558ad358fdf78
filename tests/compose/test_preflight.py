"""`make preflight`: each check finds its mistake, and all mistakes are told at once."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from claw_compose.checks import files, machine, settings
from claw_compose.errors import SettingsError
from claw_compose.preflight import findings, preflight
from claw_compose.secret_files import make_secrets
from claw_compose.versions import numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.compose.conftest import Clone


def errors(clone: Clone) -> list[str]:
    return [finding.text for finding in findings(clone.stack) if finding.is_error]


def notes(clone: Clone) -> list[str]:
    return [finding.text for finding in findings(clone.stack) if not finding.is_error]


def the_error(clone: Clone) -> str:
    (found,) = errors(clone)
    return found


def test_the_example_with_secrets_made_may_start(ready: Clone) -> None:
    assert preflight(ready.stack, say=ready.say) == 0
    assert errors(ready) == []
    assert ready.said[-1] == "Nothing is wrong. Next:  make up"


def test_before_a_start_it_says_nothing_more(ready: Clone) -> None:
    preflight(ready.stack, say=ready.say, quiet=True)

    assert {line.split()[0] for line in ready.said} == {"note"}


def test_every_mistake_is_told_at_once_errors_first(ready: Clone) -> None:
    ready.set(CLAW_LOKI_RETENTION_TIME="a month", CLAW_NGINX_DOR="https", GRAFANA_ADMIN_USER="")
    ready.secret("redis_password").unlink()

    with pytest.raises(SettingsError, match="4 things are wrong; nothing was started") as raised:
        preflight(ready.stack, say=ready.say)

    wrong = [line for line in ready.said if line.startswith("wrong")]
    assert raised.value.exit_code == 2
    assert ready.said[: len(wrong)] == wrong
    for name in ("CLAW_LOKI_RETENTION_TIME", "CLAW_NGINX_DOR", "GRAFANA_ADMIN_USER", "redis_password"):
        assert any(name in line for line in wrong), name


def test_a_missing_environment_file_is_all_that_is_told(ready: Clone) -> None:
    (ready.folder / ".env.prod").unlink()

    with pytest.raises(SettingsError, match=r"\.env\.prod is missing"):
        preflight(ready.stack, say=ready.say)
    assert ready.said == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GRAFANA_ROOT_URL", "https://monitoring.example.com/grafana", "from an example"),
        ("GRAFANA_ROOT_URL", "monitor.internal/grafana", "not an address"),
        ("GRAFANA_ROOT_URL", "https://monitor.internal:99999/grafana", "Port"),
        ("GRAFANA_ROOT_URL", "https://localhost/", "path must be /grafana"),
        ("GRAFANA_ROOT_URL", "https://localhost/grafana?x=1", "path must be /grafana"),
        ("GRAFANA_ROOT_URL", "http://localhost/grafana", "write https://"),
        ("GRAFANA_ADMIN_PASSWORD", "replace-me", "from an example"),
        ("CLAW_NGINX_DOOR", "https2", "there are http and https"),
        ("CLAW_NGINX_ADDRESS", "localhost", "not an IP address"),
        ("CLAW_NGINX_ADDRESS", "[::1]", ""),
        ("CLAW_NGINX_TRUSTED_PROXIES", "10.0.0.0/8,balancer", "names 'balancer'"),
        ("CLAW_NGINX_TRUSTED_PROXIES", "10.0.0.1/8, 192.0.2.7", ""),
        ("CLAW_APP_LOGS_DIR", "/nonexistent/logs", "which is no folder"),
        ("CLAW_APP_LOGS_TIMEZONE", "Asia/Shangai", "did you mean Asia/Shanghai?"),
        ("CLAW_NGINX_PORT", "http", "not a port"),
        ("CLAW_NGINX_PORT", "70000", "not a port"),
        ("CLAW_PROMETHEUS_RETENTION_TIME", "30 days", "not a duration"),
        ("CLAW_PROMETHEUS_RETENTION_TIME", "", ""),
        ("CLAW_PROMETHEUS_RETENTION_SIZE", "20", "not a size"),
        ("CLAW_PROMETHEUS_RETENTION_SIZE", "0GB", "not a size"),
        ("CLAW_LOKI_RETENTION_TIME", "12h", "at least 24h"),
        ("CLAW_LOKI_RETENTION_TIME", "5x", "not a duration"),
        ("CLAW_PROMETHUES_PORT", "9090", "did you mean CLAW_PROMETHEUS_PORT?"),
        ("COMPOSE_PROFILE", "alloy", "did you mean COMPOSE_PROFILES?"),
        ("COMPOSE_PROFILES", "promtial", "did you mean promtail?"),
        ("COMPOSE_PROFILES", "promtail,alloy", "would both ship"),
        ("COMPOSE_PROFILES", "example", "nothing ships the logs"),
        ("CLAW_BACKUP_KEEP", "none", "CLAW_BACKUP_KEEP"),
        ("CLAW_BACKUP_SKIP", "mysql", "CLAW_BACKUP_SKIP names mysql"),
        ("CLAW_DOCKER_SOCKET", "/nonexistent.sock", "is not there"),
        ("CLAW_DOCKER_SOCKET", "/etc/passwd", "is not a socket"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(ready: Clone, name: str, value: str, told: str) -> None:
    ready.set(**{name: value})
    found = [text for text in errors(ready) if told in text]

    assert bool(found) is bool(told or errors(ready))
    assert all(name.split("_", maxsplit=1)[0] in text for text in found)


@pytest.mark.parametrize("name", ["GRAFANA_ROOT_URL", "GRAFANA_ADMIN_USER"])
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_a_setting_that_must_be_there_is_named_once(ready: Clone, name: str, value: str | None) -> None:
    ready.set(**{name: value})

    assert the_error(ready).startswith(f"{name} is not set: ")


def test_two_settings_with_one_port_are_told(ready: Clone, free_port: Callable[[], int]) -> None:
    port = str(free_port())
    ready.set(CLAW_LOKI_PORT=port, CLAW_GRAFANA_PORT=port)

    assert f"both {port}" in the_error(ready)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "only this machine can open that"),
        (
            {"GRAFANA_ROOT_URL": "https://monitor.internal/grafana", "CLAW_NGINX_DOOR": "http"},
            "in front must end TLS",
        ),
        ({"GRAFANA_ROOT_URL": "https://localhost:4443/grafana"}, "leads to port 4443"),
    ],
)
def test_what_may_be_meant_is_a_note(ready: Clone, changes: dict[str, str], told: str) -> None:
    ready.set(**changes)

    assert errors(ready) == []
    assert any(told in text for text in notes(ready))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30d", 2_592_000),
        ("1w2d", 777_600),
        ("1y", 31_536_000),
        ("0s", 0),
        ("d", None),
        ("", None),
        ("1d1w", None),
    ],
)
def test_durations_are_those_of_prometheus(text: str, seconds: int | None) -> None:
    assert settings.seconds(text) == seconds


def test_missing_secrets_are_one_line_with_the_command(ready: Clone) -> None:
    shutil.rmtree(ready.secret(""))
    ready.secret("").mkdir(mode=0o700)

    assert any(text.startswith("missing under secrets/: grafana_admin_password, ") for text in errors(ready))
    assert all(text.count("make secrets") == 1 for text in errors(ready))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("redis_password", "", "redis_password is empty"),
        ("postgres_claw_password", "change-me", "from an example"),
        ("redis_exporter_passwords.json", "{}", "does not hold the password"),
        ("alertmanager_team_url", "hooks.example.org", "not the address of a webhook"),
        ("alertmanager_team_url", "http://[x", "not the address of a webhook"),
    ],
)
def test_a_secret_that_cannot_work_is_told(ready: Clone, name: str, text: str, told: str) -> None:
    ready.secret(name).write_text(text)

    assert any(told in found for found in errors(ready))


def test_a_channels_own_secret_is_named_where_it_is_missing_or_empty(ready: Clone) -> None:
    (ready.folder / "relay" / "relay.yml").write_text(
        "channels:\n- secret_file: secrets/notify/dingtalk_secret\n  url_file: secrets/notify/dingtalk_url\n"
    )
    ready.secret("notify/dingtalk_url").write_text("https://oapi.example.org/robot/send?access_token=x")

    assert the_error(ready) == (
        "secrets/notify/dingtalk_secret is missing: write into it what the channel's own page shows"
    )
    ready.secret("notify/dingtalk_secret").write_text("")
    assert "secrets/notify/dingtalk_secret is empty: write into it" in the_error(ready)
    ready.secret("notify/dingtalk_secret").write_text("SEC")
    assert errors(ready) == []


def test_a_missing_folder_of_channels_is_told(ready: Clone) -> None:
    ready.secret("notify").rmdir()

    assert "secrets/notify is missing" in the_error(ready)


def test_a_short_password_is_a_note(ready: Clone) -> None:
    ready.secret("postgres_claw_password").write_text("abc1234")

    assert errors(ready) == []
    assert any("postgres_claw_password is short: 7 characters" in text for text in notes(ready))


def test_a_secret_that_its_container_cannot_read_is_told(ready: Clone) -> None:
    ready.secret("redis_password").chmod(0o600)

    assert "chmod 0644 secrets/redis_password" in the_error(ready)


def test_an_open_folder_of_secrets_is_told(ready: Clone) -> None:
    ready.secret("").chmod(0o755)

    assert "chmod 0700 secrets" in the_error(ready)


def test_notifications_that_reach_nobody_are_a_note_until_there_is_an_address(ready: Clone) -> None:
    assert any("reach nobody" in text and "alertmanager_oncall_url" in text for text in notes(ready))
    for name in ("oncall", "team", "watchdog"):
        ready.secret(f"alertmanager_{name}_url").write_text("https://hooks.example.org/x")

    assert not any("reach nobody" in text for text in notes(ready))


# ---- The certificate ---------------------------------------------------------------------------------------


def certify(clone: Clone, *, names: str, days: int) -> None:
    """A certificate of one's own, which ends in some days."""
    tls = clone.secret("tls")
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-days", str(days), "-subj", "/CN=ours", "-addext", f"subjectAltName={names}"),
            *("-keyout", tls / "privkey.pem", "-out", tls / "fullchain.pem"),
        ],
        capture_output=True,
        check=True,
    )


def test_a_trial_certificate_is_a_note(ready: Clone) -> None:
    assert any("signed by itself" in text for text in notes(ready))


def test_a_certificate_that_ends_soon_is_a_note(ready: Clone) -> None:
    certify(ready, names="DNS:localhost", days=10)

    assert errors(ready) == []
    assert any("expires in 9 days" in text for text in notes(ready))


def test_a_certificate_for_another_host_is_told(ready: Clone) -> None:
    certify(ready, names="DNS:elsewhere.org", days=90)

    assert "is not for localhost, the host of GRAFANA_ROOT_URL" in the_error(ready)


def test_an_expired_certificate_is_told(ready: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            assert tz is UTC
            return datetime(2999, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(files, "datetime", Later)

    assert "the certificate expired on" in the_error(ready)


def test_a_key_of_another_certificate_is_told(ready: Clone, tmp_path: Path) -> None:
    key = ready.secret("tls/privkey.pem")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, cwd=tmp_path)
    key.chmod(0o644)

    assert "is not the key of" in the_error(ready)


def test_a_link_in_the_place_of_a_certificate_is_told(ready: Clone, tmp_path: Path) -> None:
    chain = ready.secret("tls/fullchain.pem")
    chain.rename(tmp_path / "fullchain.pem")
    chain.symlink_to(tmp_path / "fullchain.pem")

    assert "leads nowhere in the container" in the_error(ready)


def test_a_key_that_nginx_cannot_read_is_told(ready: Clone) -> None:
    ready.secret("tls/privkey.pem").chmod(0o600)

    assert "cannot be read by nginx:  chmod 0644 secrets/tls/privkey.pem" in the_error(ready)


def test_a_certificate_that_is_none_is_told_in_the_words_of_openssl(ready: Clone) -> None:
    ready.secret("tls/fullchain.pem").write_text("hello")

    assert the_error(ready).startswith("openssl x509: ")


def test_without_tls_nobody_asks_for_a_certificate(ready: Clone) -> None:
    shutil.rmtree(ready.secret("tls"))
    assert any("fullchain.pem is missing" in text for text in errors(ready))
    ready.set(CLAW_NGINX_DOOR="http", GRAFANA_ROOT_URL="http://localhost/grafana")

    assert errors(ready) == []


# ---- Files that containers read ----------------------------------------------------------------------------


def test_files_that_containers_cannot_read_are_told_with_the_command(ready: Clone) -> None:
    # What `umask 077` leaves.
    (ready.folder / "loki" / "loki-config.yml").chmod(0o600)
    for path in (ready.folder / "grafana" / "dashboards").iterdir():
        path.chmod(0o600)
    (ready.folder / "prometheus" / "targets").chmod(0o750)

    told = the_error(ready)

    assert "and " in told
    assert " more" in told
    assert told.endswith("chmod -R o+rX grafana loki prometheus")


def test_a_file_that_a_container_reads_and_that_is_gone_is_told(ready: Clone) -> None:
    (ready.folder / "redis" / "redis.conf").unlink()

    assert the_error(ready) == "redis/redis.conf is missing, but a container reads it"


def test_a_target_that_does_not_run_is_a_note(ready: Clone) -> None:
    assert not any("targets/apps" in text for text in notes(ready))
    ready.set(COMPOSE_PROFILES="promtail")

    assert errors(ready) == []
    assert any("claw-ai-backend.yml names claw-ai-backend" in text for text in notes(ready))


# ---- Docker and the machine --------------------------------------------------------------------------------


def info(clone: Clone, **changes: object) -> None:
    usual = {"ServerVersion": "27.1.0", "MemTotal": 8 * 10**9, "MemoryLimit": True, "DockerRootDir": "/"}
    clone.answer("^info ", json.dumps(usual | changes))


def test_a_docker_that_does_not_answer_is_told_with_its_words(ready: Clone) -> None:
    ready.answer("^info ", json.dumps({"ServerErrors": ["Cannot connect to the Docker daemon"]}), code=1)

    assert the_error(ready) == "Docker does not answer: Cannot connect to the Docker daemon"


def test_a_docker_that_answers_nonsense_is_told(ready: Clone) -> None:
    ready.answer("^info ", "hello")
    assert the_error(ready) == "Docker does not answer: no version"
    ready.answer("^info ", "[]")
    assert the_error(ready) == "Docker does not answer: no version"


def test_an_old_docker_is_told(ready: Clone) -> None:
    info(ready, ServerVersion="19.03.15+dfsg1")

    assert the_error(ready) == "Docker Engine is 19.03.15+dfsg1; 20.10 or newer is needed"


def test_an_old_compose_is_told(ready: Clone) -> None:
    ready.answer("^compose version --short", "2.17.2\n")

    assert the_error(ready) == "Docker Compose is 2.17.2; 2.30 or newer is needed"


def test_what_compose_warns_of_is_a_note(ready: Clone) -> None:
    ready.answer("^compose .* config --quiet", err="something is obsolete\n")

    assert "Compose: something is obsolete" in notes(ready)


def test_little_memory_and_no_limits_are_notes(ready: Clone) -> None:
    info(ready, MemTotal=2 * 10**9, MemoryLimit=False, PidsLimit=False)

    assert errors(ready) == []
    assert any("2.0 GB of memory" in text for text in notes(ready))
    assert sum("cannot limit" in text for text in notes(ready)) == 2


def test_little_disk_is_a_note(ready: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "DISK_LEAST_GB", 10**9)

    assert any("GB are free in /" in text for text in notes(ready))


def taken(clone: Clone, name: str) -> socket.socket:
    listening = socket.create_server(("127.0.0.1", int(clone.stack.settings[name])))
    listening.listen()
    return listening


def test_a_port_of_another_program_is_told(ready: Clone) -> None:
    with taken(ready, "CLAW_LOKI_PORT"):
        (told,) = [text for text in errors(ready) if text.startswith("loki")]

    assert told.startswith(
        f"loki: port {ready.stack.settings['CLAW_LOKI_PORT']} on 127.0.0.1: another program"
    )


def test_a_port_that_our_own_container_has_is_fine(ready: Clone) -> None:
    port = ready.stack.settings["CLAW_LOKI_PORT"]
    ready.answer("^ps --filter label=com.docker.compose.project=claw ", f"127.0.0.1:{port}->3100/tcp\n")
    with taken(ready, "CLAW_LOKI_PORT"):
        assert errors(ready) == []


def test_a_port_is_not_asked_of_a_docker_that_fails(ready: Clone) -> None:
    ready.answer("^ps --filter", code=1)
    with taken(ready, "CLAW_LOKI_PORT"):
        assert "another program" in the_error(ready)


def test_an_address_of_another_machine_is_told(ready: Clone) -> None:
    # Reserved for documentation: no machine has it.
    ready.set(CLAW_NGINX_ADDRESS="192.0.2.1")

    assert any("this machine does not have that address" in text for text in errors(ready))


def test_a_docker_elsewhere_is_not_measured_by_this_machine(ready: Clone) -> None:
    ready.environ["DOCKER_HOST"] = "ssh://elsewhere"
    ready.set(CLAW_DOCKER_SOCKET="/nonexistent.sock")
    with taken(ready, "CLAW_LOKI_PORT"):
        assert errors(ready) == []


@pytest.mark.parametrize(
    ("text", "expected"), [("v20.10.24+dfsg1", (20, 10, 24)), ("2.40.3", (2, 40, 3)), ("dev", ())]
)
def test_versions_are_numbers(text: str, expected: tuple[int, ...]) -> None:
    assert numbers(text) == expected


def test_secrets_made_in_a_clone_pass_their_own_checks(clone: Clone) -> None:
    make_secrets(clone.stack, say=clone.say)

    assert [
        finding.text for check in files.CHECKS for finding in check(clone.stack) if finding.is_error
    ] == []
