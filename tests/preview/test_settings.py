from pathlib import Path

import pytest

from claw_preview.errors import SettingsError
from claw_preview.settings import OPTIONS, read_settings


def test_the_defaults_are_loopback_and_the_generated_dashboards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "grafana" / "dashboards").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    settings = read_settings([], {})
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.dashboards == Path("grafana/dashboards")
    assert settings.prometheus_url == "http://127.0.0.1:9090"
    assert settings.loki_url is None
    assert settings.scrape_interval_seconds == 15


def test_the_environment_sets_what_no_flag_sets(tmp_path: Path) -> None:
    environ = {
        "CLAW_PREVIEW_PORT": "1234",
        "CLAW_PREVIEW_PROMETHEUS_URL": "http://example:1/",
        "CLAW_PREVIEW_DASHBOARDS": str(tmp_path),
    }
    settings = read_settings(["--port", "99"], environ)
    assert settings.port == 99
    assert settings.prometheus_url == "http://example:1"
    assert settings.dashboards == tmp_path


def test_every_mistake_is_named_at_once_with_where_it_comes_from(tmp_path: Path) -> None:
    environ = {
        "CLAW_PREVIEW_PROMETHEUS_URL": "prometheus:9090",
        "CLAW_PREVIEW_LOKI_URL": "loki",
        "CLAW_PREVIEW_TIMEOUT_SECONDS": "soon",
    }
    missing = tmp_path / "nothing"
    arguments = ["--port", "70000", "--dashboards", str(missing), "--host", "a b", "--scrape-interval", "-1"]
    with pytest.raises(SettingsError) as caught:
        read_settings(arguments, environ)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(OPTIONS)
    assert any(line.startswith("--port is '70000': not a port") for line in lines)
    assert any(
        line.startswith("CLAW_PREVIEW_PROMETHEUS_URL is 'prometheus:9090': not a URL") for line in lines
    )
    assert any(
        line.startswith("CLAW_PREVIEW_TIMEOUT_SECONDS is 'soon': not a number of seconds") for line in lines
    )
    assert any(
        f"--dashboards is {str(missing)!r}: not a directory; `make generate`" in line for line in lines
    )


def test_help_names_flag_variable_and_default_of_each_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"], {})
    assert ended.value.code == 0
    words = "".join(capsys.readouterr().out.split())
    for option in OPTIONS:
        assert option.flag in words
        assert option.variable in words
