# ruff: noqa: RUF001 - Chinese has full-width punctuation
"""The words of a message, in each language; alertmanager/templates has those of the other channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

__all__ = ["LANGUAGES", "Words"]

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is said in one language.

    Attributes:
        severities: Severity -> how a title begins.
        resolved: How a title begins when all is over.
        since: When an alert began, and how long ago (``{start}``, ``{length}``).
        lasted: When an alert began and ended (``{start}``, ``{end}``, ``{length}``).
        links: Dashboard, runbook, silence.
        more: Alerts that did not fit (``{count}``).
        units: Day, hour, minute, second, each to stand after its number.
        stopped: A heartbeat stopped (``{name}``).
        stopped_text: The same in full (``{name}``, ``{missing}``, ``{length}``, ``{start}``).
        back: A heartbeat is back (``{name}``).
        back_text: The same in full (``{name}``, ``{length}``).
        separator: Between things that are listed.
    """

    severities: Mapping[str, str]
    resolved: str
    since: str
    lasted: str
    links: tuple[str, str, str]
    more: str
    units: tuple[str, str, str, str]
    stopped: str
    stopped_text: str
    back: str
    back_text: str
    separator: str

    def length(self, span: timedelta) -> str:
        """Says how long something takes, in its two largest units."""
        seconds = max(0, int(span.total_seconds()))
        day, hour, minute, second = self.units
        if seconds < MINUTE:
            return f"{seconds}{second}"
        parts = (
            (seconds // DAY, day),
            (seconds % DAY // HOUR, hour),
            (seconds % HOUR // MINUTE, minute),
        )
        return " ".join([f"{number}{unit}" for number, unit in parts if number][:2])


LANGUAGES: Final[Mapping[str, Words]] = {
    "en": Words(
        severities={"critical": "CRITICAL", "warning": "WARNING", "info": "INFO", "none": "NOTE"},
        resolved="RESOLVED",
        since="since {start} ({length})",
        lasted="{start} to {end} ({length})",
        links=("Dashboard", "Runbook", "Silence"),
        more="and {count} more",
        units=("d", "h", "m", "s"),
        stopped="The heartbeat of {name} has stopped",
        stopped_text="Nothing of {missing} for {length}, since {start}. "
        "Whatever happens there, nobody would be told: look whether its machine, Prometheus and Alertmanager "
        "run, and reach this address.",
        back="The heartbeat of {name} is back",
        back_text="It was silent for {length}.",
        separator=", ",
    ),
    "zh": Words(
        severities={"critical": "严重", "warning": "警告", "info": "提示", "none": "通知"},
        resolved="已恢复",
        since="始于 {start}（已持续 {length}）",
        lasted="{start} 至 {end}（持续 {length}）",
        links=("仪表盘", "处理手册", "静默"),
        more="另有 {count} 条",
        units=("天", "小时", "分", "秒"),
        stopped="{name} 的心跳已中断",
        stopped_text="已有 {length} 没有收到 {missing}（始于 {start}）。那边发生任何故障都不会有人收到通知："
        "请检查那台机器、Prometheus 与 Alertmanager 是否在运行，以及能否访问本地址。",
        back="{name} 的心跳已恢复",
        back_text="中断了 {length}。",
        separator="、",
    ),
}
