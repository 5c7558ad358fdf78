"""relay.yml: every mistake at once, each with its line and what to do."""

from __future__ import annotations

from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from claw_exporter.document import ListOf, Table
from claw_relay.errors import SettingsError
from claw_relay.settings import ENVIRONMENT, Settings, load

if TYPE_CHECKING:
    from pathlib import Path


def read(tmp_path: Path, document: object, environment: dict[str, str] | None = None) -> Settings:
    path = tmp_path / "relay.yml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return load(path, environment or {})


def mistakes(tmp_path: Path, document: object, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, document, environment)
    return str(refused.value)


def test_an_empty_file_is_a_relay_with_nothing_to_do(tmp_path: Path) -> None:
    settings = read(tmp_path, "")

    assert (settings.channels, settings.heartbeats) == ((), ())
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 9811)


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    given = {"CLAW_RELAY_HOST": "0.0.0.0", "CLAW_RELAY_PORT": "9999", "CLAW_RELAY_STATE_FILE": "/x/state"}  # noqa: S104
    settings = read(tmp_path, {"listen": {"port": 1}}, given)

    assert set(given) == set(ENVIRONMENT)
    assert (settings.listen.host, settings.listen.port, settings.state_file) == ("0.0.0.0", 9999, "/x/state")  # noqa: S104
    assert "CLAW_RELAY_PORT '99999' is out of range" in mistakes(tmp_path, "", {"CLAW_RELAY_PORT": "99999"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "telegram"}, "'telegram' is none of: wecom, dingtalk, feishu"),
        ({"name": "On Call"}, "'On Call' does not fit; a name of a-z"),
        (
            {"url_file": "/nowhere/url"},
            "'/nowhere/url' cannot be read (No such file or directory); write the secret",
        ),
        (
            {"secret_file": None},
            "lacks secret_file; choose 'sign' in the security settings of the dingtalk bot",
        ),
        ({"type": "wecom"}, "has a secret_file, but wecom signs nothing; remove it"),
        ({"language": "de"}, "'de' is none of: en, zh"),
        ({"webhook": "x"}, "'webhook' is no setting"),
    ],
)
def test_a_mistake_in_a_channel_is_named(
    tmp_path: Path, document: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    assert said in mistakes(tmp_path, {"channels": [document["channels"][1] | change]})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is an empty file, or not text; write the secret into it"),
        ("qyapi.example/send?key=TOKEN", "holds no address; write the webhook of the bot into it"),
        (b"\xff", "is an empty file, or not text"),
    ],
)
def test_a_secret_that_is_none_is_named_by_its_file_and_never_shown(
    tmp_path: Path, document: dict[str, Any], secrets: Path, content: str | bytes, said: str
) -> None:
    (secrets / "wecom_url").write_bytes(content if isinstance(content, bytes) else content.encode())

    told = mistakes(tmp_path, document)

    assert said in told
    assert ".url_file" in told
    assert "TOKEN" not in told


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"time_zone": "Peking"}, "'Peking' is no time zone; examples: UTC, Asia/Shanghai"),
        ({"silences_url": "grafana"}, "'grafana' does not fit; an address such as https://"),
        ({"max_alerts": 0}, "'0' is out of range"),
        ({"heartbeats": [{"name": "a", "channels": []}]}, "is too short; at least 1 belong here"),
        (
            {"heartbeats": [{"name": "a", "channels": ["x"]}]},
            "'x' does not fit; a channel such as dingtalk/oncall",
        ),
        (
            {"heartbeats": [{"name": "a", "channels": ["wecom/x"]}]},
            "'wecom/x' names no channel; did you mean 'wecom/oncall'?",
        ),
        ({"heartbeats": [{"name": "a"}]}, "lacks 'channels'; add it"),
        ({"heart": []}, "'heart' is no setting"),
    ],
)
def test_a_mistake_elsewhere_is_named(
    tmp_path: Path, document: dict[str, Any], section: dict[str, Any], said: str
) -> None:
    assert said in mistakes(tmp_path, document | section)


def test_all_mistakes_are_told_at_once(tmp_path: Path, document: dict[str, Any]) -> None:
    document["channels"] *= 2
    told = mistakes(tmp_path, document | {"time_zone": "Peking", "max_alerts": "many"})

    assert len(told.splitlines()) == 5
    assert told.count("is the same channel as in line") == 3


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.yml", {})


def test_every_secret_is_known_to_the_mask(tmp_path: Path, document: dict[str, Any]) -> None:
    (tmp_path / "word").write_text("WORD")
    beat = {"name": "a", "channels": ["wecom/oncall"], "password_file": str(tmp_path / "word")}
    masked = set(read(tmp_path, document | {"heartbeats": [beat]}).secrets())

    assert {
        "TOKEN-of-wecom",
        "SECRET-of-dingtalk",
        "https://feishu.example/send?key=TOKEN-of-feishu",
    } <= masked
    assert "WORD" in masked


def keys(table: Table, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, entry in table.keys().items():
        below = entry.metadata["read"]
        if isinstance(below, ListOf) and isinstance(below.read, Table):
            found |= keys(below.read, f"{prefix}{name}[].")
        elif isinstance(below, Table):
            found |= keys(below, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = entry.default
    return found


def test_every_key_is_documented_with_its_default(page: str) -> None:
    documented = {}
    for line in page.split("### relay.yml")[1].split("\n##", maxsplit=1)[0].splitlines():
        if line.startswith("| `"):
            name, default = [cell.strip().strip("`") for cell in line.split("|")[1:3]]
            documented[name] = default
    wanted = {
        name: "needed"
        if default is MISSING
        else "none"
        if default in {None, "", ()}
        else f"{default:g}"
        if isinstance(default, float)
        else str(default)
        for name, default in keys(Table(Settings)).items()
    }

    assert documented == wanted
