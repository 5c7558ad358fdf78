"""Capture which metrics the exporters beside ours have: names, types and label names, from live processes.

``python jsonnet/vendor_metrics.py node-exporter=http://127.0.0.1:9100/metrics prometheus=...`` adds to
``jsonnet/vendor-metrics.json``; without arguments it asks the running demo. What a source no longer shows
stays, because many metrics appear only after something happened; ``--forget`` drops it. Entries with a
``reason`` always stay: they were written by hand because their program cannot run here.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client import Metric

DEMO: Final = (
    "alertmanager=http://127.0.0.1:9093/metrics",
    "claw-ai-backend=http://127.0.0.1:8000/metrics",
    "node-exporter=http://127.0.0.1:9100/metrics",
    "postgres-exporter=http://127.0.0.1:9187/metrics",
    "prometheus=http://127.0.0.1:9090/metrics",
    "redis-exporter=http://127.0.0.1:9121/metrics",
)
"""Where the demo's processes answer, on its usual ports."""
TARGET: Final = Path(__file__).resolve().with_name("vendor-metrics.json")
TIMEOUT_SECONDS: Final = 10
OURS: Final = "claw_ai_"
SEVERAL: Final = "several"
"""Source of what more than one program exposes, such as ``process_*`` and ``go_*``."""
SAMPLE_NAME: Final = re.compile(r"^[a-zA-Z_:][\w:]*", re.MULTILINE)
PART_LABELS: Final = frozenset({"le", "quantile"})

Entry = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Run the program; exit code 2 where a source cannot be read."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sources", nargs="*", metavar="NAME=URL", help="job name and address of its /metrics")
    parser.add_argument("--forget", action="store_true", help="drop what a source no longer shows")
    parser.add_argument("--file", type=Path, default=TARGET, help="file to rewrite")
    options = parser.parse_args(arguments)
    captured: dict[str, dict[str, Entry]] = {}
    for source in options.sources or DEMO:
        name, _, url = source.partition("=")
        try:
            captured[name] = describe(fetch(url), name)
        except (OSError, ValueError) as error:
            sys.stderr.write(f"{name}: cannot read {url!r}: {error}; is it running?\n")
            return 2
        sys.stdout.write(f"{name}: {len(captured[name])} metrics\n")
    before = json.loads(options.file.read_text(encoding="utf-8")) if options.file.exists() else {}
    merged = merge(before, captured, forget=options.forget)
    options.file.write_text(render(merged), encoding="utf-8")
    new = len(merged.keys() - before.keys())
    sys.stdout.write(f"{options.file.name}: {len(merged)} metrics, {new} of them new\n")
    return 0


def fetch(url: str) -> str:
    """Return the text exposition at an address."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("not an http address; example http://127.0.0.1:9100/metrics")
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310  # http(s), checked above
        return str(response.read().decode())


def describe(text: str, source: str) -> dict[str, Entry]:
    """Return the catalogue entries of one program's exposition (name -> type, labels, source)."""
    entries: dict[str, Entry] = {}
    exposed = set(SAMPLE_NAME.findall(text))
    for family in text_string_to_metric_families(text):
        for parsed, kind in _names(family):
            # The parser adds _total to a counter that comes without; Prometheus does not.
            name = parsed if parsed in exposed else parsed.removesuffix("_total")
            if name.startswith(OURS):
                continue
            labels = {label for sample in family.samples for label in sample.labels} - PART_LABELS
            known = set(entries.get(name, {}).get("labels", []))
            entries[name] = {"type": kind, "labels": sorted(labels | known), "source": source}
    return entries


def _names(family: Metric) -> Iterable[tuple[str, str]]:
    """Yield the names under which a family is catalogued, with its type."""
    kind = {"unknown": "untyped", "info": "gauge", "stateset": "gauge"}.get(family.type, family.type)
    if kind in ("histogram", "summary"):
        yield family.name, kind
        return
    for name in dict.fromkeys(sample.name for sample in family.samples):
        if not name.endswith("_created"):
            yield name, kind


def merge(
    before: Mapping[str, Entry], captured: Mapping[str, Mapping[str, Entry]], *, forget: bool = False
) -> dict[str, Entry]:
    """Put captures over what is known; of a name that several programs have, labels are united.

    Args:
        before: Entries so far (name -> entry).
        captured: Entries by source.
        forget: Drop what a captured source no longer shows.
    """
    dropped = captured.keys() if forget else ()
    kept = {
        name: entry for name, entry in before.items() if "reason" in entry or entry["source"] not in dropped
    }
    for entries in captured.values():
        for name, entry in entries.items():
            other = kept.get(name)
            if other is None or "reason" in other:
                kept[name] = entry
            else:
                labels = sorted({*other["labels"], *entry["labels"]})
                source = entry["source"] if other["source"] == entry["source"] else SEVERAL
                kept[name] = entry | {"labels": labels, "source": source}
    return kept


def render(entries: Mapping[str, Entry]) -> str:
    """Return the file's text: sorted, one line per metric, so that a difference is a metric."""
    lines = [
        f"  {json.dumps(name)}: {json.dumps(entry, sort_keys=True)}"
        for name, entry in sorted(entries.items())
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    raise SystemExit(main())
