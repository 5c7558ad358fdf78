"""Loki's configuration: only keys that exist, none that its next version removes, and what must be on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "loki" / "loki-config.yml").read_text())

# Loki stops at a key it does not know, and there is no Loki here: these are the ones of 3.7 that we use.
KEYS = {
    "analytics.reporting_enabled",
    "auth_enabled",
    "common.instance_addr",
    "common.path_prefix",
    "common.replication_factor",
    "common.ring.kvstore.store",
    "common.storage.filesystem.chunks_directory",
    "common.storage.filesystem.rules_directory",
    "compactor.delete_request_store",
    "compactor.retention_enabled",
    "compactor.working_directory",
    "ingester.wal.flush_on_shutdown",
    "ingester.wal.replay_memory_ceiling",
    "limits_config.allow_structured_metadata",
    "limits_config.deletion_mode",
    "limits_config.discover_log_levels",
    "limits_config.discover_service_name",
    "limits_config.ingestion_burst_size_mb",
    "limits_config.ingestion_rate_mb",
    "limits_config.max_concurrent_tail_requests",
    "limits_config.max_entries_limit_per_query",
    "limits_config.max_global_streams_per_user",
    "limits_config.max_label_names_per_series",
    "limits_config.max_label_value_length",
    "limits_config.max_line_size",
    "limits_config.max_line_size_truncate",
    "limits_config.max_query_bytes_read",
    "limits_config.max_query_length",
    "limits_config.max_query_parallelism",
    "limits_config.max_query_range",
    "limits_config.max_query_series",
    "limits_config.max_structured_metadata_entries_count",
    "limits_config.max_structured_metadata_size",
    "limits_config.per_stream_rate_limit",
    "limits_config.per_stream_rate_limit_burst",
    "limits_config.query_timeout",
    "limits_config.reject_old_samples",
    "limits_config.reject_old_samples_max_age",
    "limits_config.split_queries_by_interval",
    "limits_config.tsdb_max_query_parallelism",
    "limits_config.volume_enabled",
    "querier.max_concurrent",
    "ruler.alertmanager_url",
    "ruler.enable_api",
    "ruler.rule_path",
    "ruler.storage.local.directory",
    "ruler.storage.type",
    "ruler.wal.dir",
    "schema_config.configs.from",
    "schema_config.configs.index.period",
    "schema_config.configs.index.prefix",
    "schema_config.configs.object_store",
    "schema_config.configs.schema",
    "schema_config.configs.store",
    "server.grpc_listen_port",
    "server.grpc_server_max_recv_msg_size",
    "server.grpc_server_max_send_msg_size",
    "server.http_listen_port",
    "server.http_server_read_timeout",
    "server.http_server_write_timeout",
    "server.log_format",
    "server.log_level",
}
# From the upgrade notes of 4.0.
REMOVED_IN_4 = (
    "allow_deletes",
    "boltdb",
    "chunk_tables",
    "index_queries_cache_config",
    "per_tenant_override_config",
    "row_shards",
    "ruler_remote_write",
    "table_manager",
    "unordered_writes",
)


def flattened(value: object, prefix: str = "") -> dict[str, Any]:
    """Dotted paths of the leaves; a list of tables counts as one table."""
    if isinstance(value, dict):
        return {
            path: leaf
            for key, below in value.items()
            for path, leaf in flattened(below, f"{prefix}.{key}".lstrip(".")).items()
        }
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {path: leaf for item in value for path, leaf in flattened(item, prefix).items()}
    return {prefix: value}


def seconds(duration: str) -> float:
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[duration[-1]]


def bytes_of(size: str) -> int:
    return int(size[:-2]) * {"KB": 2**10, "MB": 2**20}[size[-2:]]


def test_only_known_keys_are_used() -> None:
    assert set(flattened(CONFIG)) == KEYS


def test_nothing_is_used_that_the_next_version_removes() -> None:
    assert [name for name in REMOVED_IN_4 if any(name in path for path in flattened(CONFIG))] == []


def test_old_logs_are_really_deleted(services: dict[str, Any]) -> None:
    assert CONFIG["compactor"]["retention_enabled"] is True
    assert CONFIG["compactor"]["delete_request_store"] == "filesystem"
    assert any(flag.startswith("-store.retention=") for flag in services["loki"]["command"])


def test_a_long_line_is_cut_and_not_dropped() -> None:
    assert CONFIG["limits_config"]["max_line_size_truncate"] is True


def test_a_crash_does_not_end_in_a_loop_of_running_out_of_memory(services: dict[str, Any]) -> None:
    limit = int(services["loki"]["deploy"]["resources"]["limits"]["memory"])

    assert bytes_of(CONFIG["ingester"]["wal"]["replay_memory_ceiling"]) <= limit / 2


def test_an_answer_is_not_cut_off_before_its_time_is_up() -> None:
    limits, server = CONFIG["limits_config"], CONFIG["server"]

    assert seconds(server["http_server_write_timeout"]) > seconds(limits["query_timeout"])
    assert seconds(server["http_server_read_timeout"]) > seconds(limits["query_timeout"])


def test_a_whole_retention_can_be_asked_at_once(services: dict[str, Any]) -> None:
    (flag,) = (part for part in services["loki"]["command"] if part.startswith("-store.retention="))

    assert seconds(CONFIG["limits_config"]["max_query_length"]) >= seconds(flag.partition("=")[2])


def test_what_the_shipper_lets_pass_fits_in_structured_metadata() -> None:
    text = (ROOT / "promtail" / "promtail-config.yml").read_text()
    bounds = [int(bound) for bound in re.findall(r"\{\d+,(\d+)\}\)\$'", text)]
    limits = CONFIG["limits_config"]

    assert len(bounds) == 6  # of trace_id, span_id, request_id, conversation_id, session_id, method
    assert bytes_of(limits["max_structured_metadata_size"]) > sum(bounds) + 1000
    assert limits["max_structured_metadata_entries_count"] > len(bounds)


def test_the_schema_is_the_current_one() -> None:
    (schema,) = CONFIG["schema_config"]["configs"]

    assert (schema["schema"], schema["store"], schema["index"]["period"]) == ("v13", "tsdb", "24h")


def test_nothing_is_reported_to_anybody() -> None:
    assert CONFIG["analytics"]["reporting_enabled"] is False


def test_everything_is_written_below_the_volume(services: dict[str, Any]) -> None:
    written = [
        leaf
        for path, leaf in flattened(CONFIG).items()
        if re.search(r"(_directory|path_prefix|rule_path|wal\.dir)$", path)
    ]
    volumes = {volume["target"] for volume in services["loki"]["volumes"] if volume["type"] == "volume"}

    assert len(written) == 6
    assert volumes == {"/loki"}
    assert [path for path in written if Path("/loki") not in (Path(path), *Path(path).parents)] == []


def test_rules_are_read_from_the_mounted_folder(services: dict[str, Any]) -> None:
    (mount,) = [volume for volume in services["loki"]["volumes"] if volume["type"] == "bind"]
    folder = CONFIG["ruler"]["storage"]["local"]["directory"]

    assert (Path(mount["source"]) / Path(folder).relative_to(mount["target"])).is_dir()


def test_the_shipper_sends_where_loki_listens() -> None:
    promtail = yaml.safe_load((ROOT / "promtail" / "promtail-config.yml").read_text())
    port = CONFIG["server"]["http_listen_port"]

    assert [client["url"] for client in promtail["clients"]] == [f"http://loki:{port}/loki/api/v1/push"]


def test_there_are_fewer_labels_than_loki_takes() -> None:
    # host, service, container or file, stream, level, and service_name, which Loki adds.
    assert CONFIG["limits_config"]["max_label_names_per_series"] >= 6
