"""A notification as a message that fits a phone: what, since when, value against threshold, where to look."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, tzinfo

    from claw_relay.notification import Alert, Notification
    from claw_relay.words import Words

__all__ = ["Fitted", "Format", "Message", "compose", "fit"]

ELLIPSIS: Final = "…"
# What starts a mention of somebody, a font or a link in the dialects of chat services.
TAG: Final = re.compile(r"<(?=[A-Za-z@/!])")


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said, whatever the channel.

    Attributes:
        title: One line.
        colour: red, orange, green or grey.
        blocks: One for each alert, each a list of lines.
        left_out: How many alerts there are beside the blocks.
        more: Says how many alerts are not shown.
    """

    title: str
    colour: str
    blocks: tuple[tuple[str, ...], ...]
    left_out: int
    more: Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A message within its limit.

    Attributes:
        text: Everything below the title.
        left_out: How many alerts it only counts.
    """

    text: str
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How messages are written.

    Attributes:
        words: In which language.
        zone: In which time zone.
        now: The clock.
        silences_url: Address of the page that makes a silence, with a query to which matchers are added.
        max_alerts: So many alerts at most stand in full.
    """

    words: Words
    zone: tzinfo
    now: Callable[[], datetime]
    silences_url: str = ""
    max_alerts: int = 5

    def time(self, when: datetime) -> str:
        """Writes a point in time."""
        return f"{when.astimezone(self.zone):%Y-%m-%d %H:%M %Z}"


def compose(notification: Notification, how: Format) -> Message:
    """Writes the alerts of a notification, each in full."""
    shown = notification.alerts[: how.max_alerts]
    return Message(
        title=_title(notification, how.words),
        colour=_colour(notification),
        blocks=tuple(_block(alert, how) for alert in shown),
        left_out=notification.left_out + len(notification.alerts) - len(shown),
        more=lambda count: how.words.more.format(count=count),
    )


def fit(message: Message, *, joint: str, fits: Callable[[str], bool]) -> Fitted:
    """Drops whole alerts from the end until the message fits, and says how many; at last shortens the first.

    Args:
        message: What is to be said.
        joint: Stands between two lines; two of them between two alerts.
        fits: Tells whether a text is small enough.
    """
    for count in range(len(message.blocks), 0, -1):
        text = _text(message, message.blocks[:count], joint)
        if fits(text):
            return Fitted(text, message.left_out + len(message.blocks) - count)
    lines = message.blocks[0] if message.blocks else ()
    return Fitted(_shortened(message, lines, joint, fits), message.left_out + max(0, len(message.blocks) - 1))


def _text(message: Message, blocks: Sequence[Sequence[str]], joint: str) -> str:
    left_out = message.left_out + len(message.blocks) - len(blocks)
    parts = [joint.join(lines) for lines in blocks]
    parts += [message.more(left_out)] if left_out else []
    return f"{joint}{joint}".join(parts)


def _shortened(message: Message, lines: Sequence[str], joint: str, fits: Callable[[str], bool]) -> str:
    """Cuts the longest line of one alert between two characters; its links go last, and as a whole."""
    for links in (lines[-1:], ()):
        low, high = -1, max(map(len, lines[:-1]), default=-1)
        while low < high:
            middle = (low + high + 1) // 2
            enough = fits(_text(message, [[*_cut(lines[:-1], middle), *links]], joint))
            low, high = (middle, high) if enough else (low, middle - 1)
        if low >= 0:
            return _text(message, [[*_cut(lines[:-1], low), *links]], joint)
    return ""


def _cut(lines: Sequence[str], length: int) -> list[str]:
    """Cuts every line that is longer; at the end of the search that is the longest one."""
    return [line if len(line) <= length else line[:length] + ELLIPSIS for line in lines]


def _title(notification: Notification, words: Words) -> str:
    firing = notification.firing
    worst = notification.alerts[0]
    severity = worst.labels.get("severity", "none")
    begin = words.severities.get(severity, severity.upper()) if firing else words.resolved
    names = {alert.name for alert in notification.alerts}
    common = notification.common_labels
    where = [one_line(common[label]) for label in ("job", "host") if common.get(label)]
    count = (len(firing) or len(notification.alerts)) + notification.left_out
    counted = f" ×{count}" if count > 1 else ""  # noqa: RUF001 - times
    return (
        " ".join([begin, one_line(worst.name) if len(names) == 1 else f"{one_line(worst.name)} +", *where])
        + counted
    )


def _colour(notification: Notification) -> str:
    if not notification.firing:
        return "green"
    severity = notification.alerts[0].labels.get("severity")
    return {"critical": "red", "warning": "orange"}.get(severity or "", "grey")


def _block(alert: Alert, how: Format) -> tuple[str, ...]:
    lines = [
        f"**{one_line(alert.annotations.get('summary') or alert.name)}**",
        one_line(alert.annotations.get("description", "")),
        _when(alert, how),
        _links(alert, how),
    ]
    if not alert.firing:
        lines[0] = f"{how.words.resolved} {lines[0]}"
    return tuple(line for line in lines if line)


def _when(alert: Alert, how: Format) -> str:
    if alert.starts_at is None:
        return ""
    start = how.time(alert.starts_at)
    if alert.ends_at is None:
        return how.words.since.format(start=start, length=how.words.length(how.now() - alert.starts_at))
    length = how.words.length(alert.ends_at - alert.starts_at)
    return how.words.lasted.format(start=start, end=how.time(alert.ends_at), length=length)


def _links(alert: Alert, how: Format) -> str:
    dashboard, runbook, silence = how.words.links
    targets = [
        (dashboard, alert.annotations.get("dashboard_url", "")),
        (runbook, alert.annotations.get("runbook_url", "")),
    ]
    if alert.firing and how.silences_url:
        targets.append((silence, silence_url(how.silences_url, alert)))
    return " · ".join(_link(name, url) for name, url in targets if url)


def silence_url(base: str, alert: Alert) -> str:
    """Returns the address that opens the form of a silence, filled in with the labels of an alert."""
    matchers = [
        f"matcher={quote(f'{name}={value}', safe='')}" for name, value in sorted(alert.labels.items())
    ]
    return f"{base}{'&' if '?' in base else '?'}{'&'.join(matchers)}"


def _link(name: str, url: str) -> str:
    # A path in the repository is none that a phone can open.
    if not url.startswith(("http://", "https://")):
        return f"{name}: {one_line(url)}"
    return f"[{name}]({quote(url, safe=':/?#[]@!$&*+,;=%~-._')})"


def one_line(text: str) -> str:
    """Makes text of others harmless: one line, and nothing that a chat service takes for a tag."""
    return TAG.sub("＜", " ".join(text.split()))  # noqa: RUF001 - full width, on purpose
