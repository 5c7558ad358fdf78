"""Makes time pass faster for rules, scrapes and notifications: configuration in, configuration out.

What is divided: every `for` and `keep_firing_for`, every range, subquery and `offset`, the horizon of
`predict_linear`, the step of a sum of rates, the numbers of `SECONDS`, every interval and timeout of
Prometheus and Alertmanager.
What is not: thresholds, ratios and counts. A guard such as "at least 20 errors in five minutes" still wants
20, which come in a shorter time: the drills send more requests instead.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

Document = dict[str, Any]

UNIT_SECONDS: Final = {
    "ms": 0.001,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86_400,
    "w": 7 * 86_400,
    "y": 365 * 86_400,
}
PIECE: Final = re.compile(r"(\d+)(ms|[smhdwy])")
DURATION: Final = r"(?:\d+(?:ms|[smhdwy]))+"
# Texts and comments come first, so that what looks like a range inside of them is left alone.
TIMES: Final = re.compile(
    rf"""(?P<kept>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|\#[^\n]*)
    |\[\s*(?P<range>{DURATION})\s*(?P<sub>:\s*(?P<step>{DURATION})?\s*)?\]
    |\boffset\s+(?P<offset>-?{DURATION})""",
    re.VERBOSE,
)
# Only predict_linear has a number after a range.
HORIZON: Final = re.compile(rf"(\[{DURATION}\](?:\s+offset\s+-?{DURATION})?\s*,\s*)(\d+(?:\.\d+)?)(?=\s*\))")
# A sum of rates times the seconds between two of them is what they add up to.
STEP: Final = re.compile(r"\b\d+(?=\s*\*\s*sum_over_time\()")
SCRAPES_IN_A_WINDOW: Final = 4
LONGEST_WINDOW_SECONDS: Final = 2 * 3600.0

# Numbers that are seconds, which nothing but their meaning tells: an age that is compared with, or the window
# that turns a rate into a count.
AGE: Final = re.compile(r"(?<=> )\d+(?:\.\d+)?\b")
WINDOW: Final = re.compile(r"\b\d+(?= \*)")
SECONDS: Final = {
    "LogErrorBurst": WINDOW,
    "PostgresTransactionTooLong": AGE,
    "QueueAgeHigh": AGE,
}

# Alerts that look back further than LONGEST_WINDOW_SECONDS, which would take long even when shrunk: they are
# left out of the drills, and proven in tests/prometheus. Not these, each for its reason.
DRILLED_ANYWAY: Final = {
    "AiCostRunaway": "an hour against the budget decides; last week is its second way",
    "AiBudgetExceeded": "an hour's budget is one of its two ways",
    "HostDiskReadOnly": "the present decides; a day is how long it is remembered as writable",
    "HttpAbandonmentHigh": "ten minutes decide; a day is only what they are compared with",
    "LogErrorBurst": "five minutes decide; a day is only what they are compared with",
    "QueueStuck": "ten minutes decide; a day is how long workers are remembered",
    "TargetMissing": "remembers for a day which jobs there were; the present decides",
}


def parse_seconds(duration: str) -> float:
    """Returns the seconds of a duration as Prometheus writes it, such as `1h30m`.

    Raises:
        ValueError: It is not one.
    """
    pieces = PIECE.findall(duration)
    if "".join(number + unit for number, unit in pieces) != duration or not pieces:
        raise ValueError(f"'{duration}' is not a duration; example 1h30m")
    return sum(int(number) * UNIT_SECONDS[unit] for number, unit in pieces)


def format_seconds(seconds: float) -> str:
    """Writes a duration, exact to a millisecond and never nothing."""
    milliseconds = max(1, round(seconds * 1000))
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


@dataclass(frozen=True)
class Shrink:
    """How much faster time passes.

    Args:
        faster: Every duration is divided by this.
        scrape_seconds: Between two scrapes, undivided; no window becomes shorter than four scrapes.
    """

    faster: float
    scrape_seconds: float = 15

    @property
    def shortest_window_seconds(self) -> float:
        """The least a range may cover."""
        return SCRAPES_IN_A_WINDOW * self.scrape_seconds / self.faster

    def seconds(self, seconds: float) -> float:
        """Returns how long something takes now."""
        return seconds / self.faster

    def duration(self, duration: object) -> str:
        """Returns a duration divided; `0s` stays nothing."""
        seconds = parse_seconds(str(duration))
        return format_seconds(seconds / self.faster) if seconds else "0s"

    def window(self, duration: str) -> str:
        """Returns a range divided, and no shorter than four scrapes."""
        return format_seconds(max(parse_seconds(duration) / self.faster, self.shortest_window_seconds))

    def expression(self, expr: str) -> str:
        """Returns PromQL with its ranges, subqueries, offsets, horizons and steps divided."""
        expr = STEP.sub(lambda found: f"{float(found[0]) / self.faster:g}", expr)
        if "predict_linear" in expr:
            expr = HORIZON.sub(lambda found: f"{found[1]}{float(found[2]) / self.faster:g}", expr)
        return TIMES.sub(self._time, expr)

    def _time(self, found: re.Match[str]) -> str:
        if found["kept"]:
            return found[0]
        if found["offset"]:
            sign = "-" if found["offset"].startswith("-") else ""
            return f"offset {sign}{self.duration(found['offset'].removeprefix('-'))}"
        step = f":{self.duration(found['step']) if found['step'] else ''}" if found["sub"] else ""
        return f"[{self.window(found['range'])}{step}]"

    # Documents.

    def rule(self, rule: Document) -> Document:
        """Returns a recording or alerting rule."""
        smaller = {**rule, "expr": self.expression(rule["expr"])}
        for key in ("for", "keep_firing_for"):
            if key in rule:
                smaller[key] = self.duration(rule[key])
        if seconds := SECONDS.get(rule.get("alert", "")):
            smaller["expr"] = seconds.sub(lambda found: f"{float(found[0]) / self.faster:g}", smaller["expr"])
        return smaller

    def rules(self, document: Document) -> Document:
        """Returns a file of rules."""
        groups = []
        for group in document["groups"]:
            times = {key: self.duration(group[key]) for key in ("interval", "query_offset") if key in group}
            groups.append({**group, **times, "rules": [self.rule(rule) for rule in group["rules"]]})
        return {**document, "groups": groups}

    def prometheus(self, document: Document) -> Document:
        """Returns prometheus.yml.

        A scrape may take all of the time until the next one: programs do not answer faster because time does.
        """
        smaller = deepcopy(document)
        for section in (smaller["global"], *smaller.get("scrape_configs", ())):
            for key in ("scrape_interval", "evaluation_interval"):
                if key in section:
                    section[key] = self.duration(section[key])
            if "scrape_timeout" in section:
                section["scrape_timeout"] = section.get(
                    "scrape_interval", smaller["global"]["scrape_interval"]
                )
        return smaller

    def alertmanager(self, document: Document) -> Document:
        """Returns alertmanager.yml."""
        return {**document, "route": self._route(document["route"])}

    def _route(self, route: Document) -> Document:
        smaller = {key: value for key, value in route.items() if key != "routes"}
        for key in ("group_wait", "group_interval", "repeat_interval"):
            if key in route:
                smaller[key] = self.duration(route[key])
        if "routes" in route:
            smaller["routes"] = [self._route(child) for child in route["routes"]]
        return smaller


def looks_back_seconds(expr: str) -> float:
    """Returns the longest range or offset of an expression."""
    found = [
        parse_seconds(time.removeprefix("-"))
        for match in TIMES.finditer(expr)
        for time in (match["range"], match["offset"])
        if time
    ]
    return max(found, default=0.0)


def left_out(rules: list[Document]) -> dict[str, float]:
    """Tells which alerts cannot be drilled.

    Args:
        rules: All rules, of all files.

    Returns:
        The expression of each rule that is left out, and how many seconds it looks back, also through what is
        recorded.
    """
    recorded: dict[str, float] = {}
    for rule in rules:
        if "record" in rule:
            name = rule["record"]
            recorded[name] = max(recorded.get(name, 0), looks_back_seconds(rule["expr"]))
    found = {}
    for rule in rules:
        if "alert" not in rule or rule["alert"] in DRILLED_ANYWAY:
            continue
        read = [seconds for name, seconds in recorded.items() if _reads(rule["expr"], name)]
        seconds = max([looks_back_seconds(rule["expr"]), *read])
        if seconds > LONGEST_WINDOW_SECONDS:
            found[rule["expr"]] = seconds
    return found


def _reads(expr: str, name: str) -> bool:
    return re.search(rf"(?<![\w:]){re.escape(name)}(?![\w:])", expr) is not None
