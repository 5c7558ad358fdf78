"""`make secrets`, with the real openssl."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from claw_compose import certificate, secret_files
from claw_compose.errors import CommandError, ComposeError, SettingsError
from claw_compose.secret_files import PASSWORDS, make_secrets

if TYPE_CHECKING:
    from tests.compose.conftest import Clone


def run(clone: Clone) -> None:
    clone.said.clear()
    assert make_secrets(clone.stack, say=clone.say) == 0


def lines(clone: Clone, state: str) -> list[str]:
    return [line.split()[1].removeprefix("secrets/") for line in clone.said if line.startswith(state)]


def test_every_secret_that_the_compose_file_mounts_is_made(clone: Clone) -> None:
    run(clone)

    assert set(clone.stack.whole["secrets"]) <= set(lines(clone, "made"))
    assert all(clone.secret(name).is_file() for name in lines(clone, "made"))
    assert lines(clone, "kept") == []


def test_passwords_are_long_and_no_two_are_alike(clone: Clone) -> None:
    run(clone)
    made = [clone.secret(name).read_text() for name in PASSWORDS]

    assert len(set(made)) == len(PASSWORDS) == 5
    assert all(len(password) == 48 and password.isalnum() for password in made)


def test_permissions_let_containers_in_and_other_users_not(clone: Clone) -> None:
    before = os.umask(0o077)
    try:
        run(clone)
    finally:
        os.umask(before)

    assert clone.secret("").stat().st_mode & 0o777 == 0o700
    files = [path for path in clone.secret("").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}
    assert clone.secret("tls").stat().st_mode & 0o777 == 0o755


def test_permissions_that_are_wrong_are_corrected_and_told(clone: Clone) -> None:
    run(clone)
    clone.secret("redis_password").chmod(0o600)
    clone.secret("").chmod(0o755)
    run(clone)

    assert lines(clone, "corrected") == ["redis_password"]
    assert clone.secret("redis_password").stat().st_mode & 0o777 == 0o644
    assert clone.secret("").stat().st_mode & 0o777 == 0o700


def test_what_is_there_is_kept(clone: Clone) -> None:
    clone.secret("").mkdir()
    clone.secret("redis_password").write_text("mine\n")
    run(clone)
    first = {path: path.read_bytes() for path in clone.secret("").rglob("*") if path.is_file()}
    run(clone)

    assert clone.secret("redis_password").read_text() == "mine\n"
    assert {path: path.read_bytes() for path in clone.secret("").rglob("*") if path.is_file()} == first
    assert lines(clone, "made") == []


def test_an_empty_file_is_no_secret(clone: Clone) -> None:
    run(clone)
    clone.secret("redis_password").write_text("")
    run(clone)

    assert lines(clone, "made") == ["redis_password"]
    assert lines(clone, "corrected") == ["redis_exporter_passwords.json"]


def test_the_redis_exporter_gets_the_password_of_redis(clone: Clone) -> None:
    clone.secret("").mkdir()
    clone.secret("redis_password").write_text("mine\n")
    run(clone)

    assert json.loads(clone.secret("redis_exporter_passwords.json").read_text()) == {
        "redis://redis:6379": "mine"
    }


def test_a_derived_file_that_does_not_match_is_corrected_and_keeps_other_servers(clone: Clone) -> None:
    run(clone)
    path = clone.secret("redis_exporter_passwords.json")
    path.write_text(json.dumps({"redis://redis:6379": "old", "redis://other:6379": "theirs"}))
    run(clone)

    now = json.loads(path.read_text())
    assert lines(clone, "corrected") == [path.name]
    assert now == {
        "redis://redis:6379": clone.secret("redis_password").read_text(),
        "redis://other:6379": "theirs",
    }


@pytest.mark.parametrize("text", ["not json", "[1]"])
def test_a_derived_file_that_makes_no_sense_is_refused(clone: Clone, text: str) -> None:
    run(clone)
    clone.secret("redis_exporter_passwords.json").write_text(text)

    with pytest.raises(ComposeError, match=r"is not a JSON object.*delete it"):
        run(clone)


def test_notifications_go_nowhere_until_an_address_is_written_and_that_is_told(clone: Clone) -> None:
    run(clone)

    assert clone.secret("alertmanager_oncall_url").read_text() == secret_files.DISCARD
    assert "  secrets/alertmanager_oncall_url" in clone.said
    clone.secret("alertmanager_oncall_url").write_text("https://hooks.example.org/1")
    run(clone)
    assert "  secrets/alertmanager_oncall_url" not in clone.said
    assert "  secrets/alertmanager_team_url" in clone.said


def with_dingtalk(clone: Clone) -> None:
    """As `make generate` writes it once somebody has chosen DingTalk."""
    (clone.folder / "relay" / "relay.yml").write_text(
        "channels:\n- secret_file: secrets/notify/dingtalk_secret\n  url_file: secrets/notify/dingtalk_url\n"
    )


def test_what_only_the_operator_has_is_named_and_not_made_up(clone: Clone) -> None:
    with_dingtalk(clone)
    run(clone)

    assert lines(clone, "missing") == ["notify/dingtalk_secret"]
    assert "notify/dingtalk_url" in lines(clone, "made")
    assert not clone.secret("notify/dingtalk_secret").exists()
    assert "  secrets/notify/dingtalk_secret" in clone.said
    clone.secret("notify/dingtalk_secret").write_text("SEC")
    run(clone)
    assert "notify/dingtalk_secret" in lines(clone, "kept")
    assert "  secrets/notify/dingtalk_secret" not in clone.said


def test_the_folder_of_channels_is_there_though_none_is_chosen(clone: Clone) -> None:
    run(clone)

    assert clone.secret("notify").stat().st_mode & 0o777 == 0o755


def test_a_receiver_of_ones_own_gets_its_file(clone: Clone) -> None:
    path = clone.folder / "alertmanager" / "alertmanager.yml"
    path.write_text(path.read_text() + "  - url_file: secrets/alertmanager_chat_url\n")
    run(clone)

    assert "alertmanager_chat_url" in lines(clone, "made")


def test_nobody_may_push_logs_at_first_and_who_may_is_kept(clone: Clone) -> None:
    run(clone)
    assert clone.secret("nginx_push_htpasswd").read_text() == ""
    clone.secret("nginx_push_htpasswd").write_text("web-2:hash\n")
    run(clone)

    assert clone.secret("nginx_push_htpasswd").read_text() == "web-2:hash\n"


def test_grafanas_password_is_the_one_of_the_settings(clone: Clone) -> None:
    clone.set(GRAFANA_ADMIN_PASSWORD="your own, 'quoted' $word")
    run(clone)

    assert clone.secret("grafana_admin_password").read_text() == "your own, 'quoted' $word"
    assert "you may empty it in .env.prod" in clone.text


def test_grafanas_password_in_the_file_wins_and_that_is_told(clone: Clone) -> None:
    run(clone)
    clone.set(GRAFANA_ADMIN_PASSWORD="another-one")
    run(clone)

    assert clone.secret("grafana_admin_password").read_text() != "another-one"
    assert "which is not used any more" in clone.text


@pytest.mark.parametrize("password", ["replace-me", "your_secure_password", "admin", "changeme"])
def test_a_password_from_an_example_is_refused(clone: Clone, password: str) -> None:
    clone.set(GRAFANA_ADMIN_PASSWORD=password)

    with pytest.raises(SettingsError, match=f"GRAFANA_ADMIN_PASSWORD.*'{password}'"):
        run(clone)
    assert not clone.secret("").exists()


@pytest.mark.parametrize(
    "url", ["", "localhost/grafana", "https://monitoring.example.com/grafana", "http://[x"]
)
def test_without_the_address_of_grafana_nothing_is_made(clone: Clone, url: str) -> None:
    clone.set(GRAFANA_ROOT_URL=url)

    with pytest.raises(SettingsError, match="GRAFANA_ROOT_URL"):
        run(clone)
    assert not clone.secret("").exists()


@pytest.mark.parametrize("host", ["monitor.internal", "10.1.2.3"])
def test_the_trial_certificate_is_for_the_host_and_for_this_machine(clone: Clone, host: str) -> None:
    clone.set(GRAFANA_ROOT_URL=f"https://{host}/grafana")
    run(clone)
    chain, key = clone.secret("tls/fullchain.pem"), clone.secret("tls/privkey.pem")

    for name in (host, "localhost", "nginx", "127.0.0.1"):
        assert certificate.covers(chain, name, clone.environ)
    assert not certificate.covers(chain, "elsewhere.org", clone.environ)
    assert certificate.same_key(chain, key, clone.environ)
    assert certificate.read(chain, clone.environ).self_signed


@pytest.mark.parametrize("name", ["fullchain.pem", "privkey.pem"])
def test_half_a_certificate_is_told(clone: Clone, name: str) -> None:
    run(clone)
    clone.secret(f"tls/{name}").unlink()

    with pytest.raises(ComposeError, match=f"{name} is not: put it beside"):
        run(clone)


def test_a_machine_without_openssl_is_told_what_to_install(clone: Clone) -> None:
    clone.environ["PATH"] = "/nonexistent"

    with pytest.raises(CommandError, match="openssl is missing: install it"):
        run(clone)


def test_a_folder_in_the_place_of_a_secret_is_told(clone: Clone) -> None:
    clone.secret("redis_password").mkdir(parents=True)

    with pytest.raises(ComposeError, match="redis_password is a folder"):
        run(clone)


def test_a_place_that_cannot_be_written_is_told(clone: Clone) -> None:
    clone.secret("").write_text("a file")

    with pytest.raises(ComposeError, match="secrets: File exists"):
        run(clone)


def test_what_openssl_cannot_read_is_told(clone: Clone) -> None:
    with pytest.raises(CommandError, match="openssl x509: "):
        certificate.read(clone.folder / "Makefile", clone.environ)
