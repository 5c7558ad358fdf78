"""The chat services: how a message looks there, how it is signed, and what their answers mean.

Sizes, rates and codes are those of the vendors' pages about bots of groups (2026): WeCom takes 4,096 bytes of
text, DingTalk and Feishu 20,000 bytes of JSON; messages a minute are 20, 20 and 100.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from claw_relay.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claw_relay.message import Message

__all__ = ["VENDORS", "Vendor", "encode"]

Body = dict[str, Any]
Signed = tuple[str, Body]

WECOM_COLOURS: Final = {"red": "warning", "orange": "warning", "green": "info", "grey": "comment"}
BODY_BYTES: Final = 20_000
# Room for a timestamp and a signature.
SIGNATURE_BYTES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One chat service.

    Attributes:
        body: Makes what is posted of a message and its text.
        joint: Stands between two lines of a text.
        fits: Tells whether a text can be sent.
        sign: Signs address and body, given the secret and the time in seconds; None where nothing is signed.
        codes: The fields of an answer that hold a code; 0 is success in each.
        words: The field of an answer that says what is wrong.
        reasons: Code -> why; any other one is `Reason.MESSAGE`.
        per_minute: Messages that a bot may send in a minute.
    """

    body: Callable[[Message, str], Body]
    joint: str
    fits: Callable[[Message, str], bool]
    sign: Callable[[str, Body, str, float], Signed] | None
    codes: tuple[str, ...]
    words: str
    reasons: Mapping[int, Reason]
    per_minute: int

    def judge(self, answer: object) -> tuple[Reason | None, str]:
        """Reads an answer: nothing and no words where the message was taken, else why not."""
        if not isinstance(answer, dict):
            return Reason.ANSWER, "the answer is not a JSON object"
        found = [answer[name] for name in self.codes if isinstance(answer.get(name), int)]
        if not found:
            return Reason.ANSWER, f"the answer has no {' or '.join(self.codes)}"
        code = next((code for code in found if code), 0)
        if code == 0:
            return None, ""
        return self.reasons.get(code, Reason.MESSAGE), f"{code}: {answer.get(self.words, '')}"


def encode(body: Body) -> bytes:
    """Returns what goes over the wire."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


# -- WeCom ---------------------------------------------------------------------------------------------------
def _wecom_text(message: Message, text: str) -> str:
    return f'**<font color="{WECOM_COLOURS[message.colour]}">{message.title}</font>**\n{text}'


def _wecom(message: Message, text: str) -> Body:
    return {"msgtype": "markdown", "markdown": {"content": _wecom_text(message, text)}}


# -- DingTalk ------------------------------------------------------------------------------------------------
def _dingtalk(message: Message, text: str) -> Body:
    return {
        "msgtype": "markdown",
        "markdown": {"title": message.title, "text": f"### {message.title}\n\n{text}"},
    }


def _dingtalk_signed(url: str, body: Body, secret: str, now: float) -> Signed:
    timestamp = str(round(now * 1000))
    digest = hmac.digest(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256)
    query = urlencode({"timestamp": timestamp, "sign": base64.b64encode(digest).decode()})
    return f"{url}{'&' if '?' in url else '?'}{query}", body


# -- Feishu --------------------------------------------------------------------------------------------------
def _feishu(message: Message, text: str) -> Body:
    return {
        "msg_type": "interactive",
        "card": {
            "config": {"wide_screen_mode": True},
            "header": {
                "template": message.colour,
                "title": {"tag": "plain_text", "content": message.title},
            },
            "elements": [{"tag": "markdown", "content": text}],
        },
    }


def _feishu_signed(url: str, body: Body, secret: str, now: float) -> Signed:
    timestamp = str(int(now))
    # Their rule: the text is the key, and what is signed is empty.
    digest = hmac.digest(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256)
    return url, {"timestamp": timestamp, "sign": base64.b64encode(digest).decode(), **body}


VENDORS: Final[Mapping[str, Vendor]] = {
    "wecom": Vendor(
        body=_wecom,
        joint="\n",
        fits=lambda message, text: len(_wecom_text(message, text).encode()) <= 4096,  # noqa: PLR2004 - theirs
        sign=None,
        codes=("errcode",),
        words="errmsg",
        reasons={
            -1: Reason.UNAVAILABLE,
            45009: Reason.RATE_LIMITED,
            45033: Reason.RATE_LIMITED,
            40001: Reason.CREDENTIALS,
            93000: Reason.CREDENTIALS,
            93004: Reason.CREDENTIALS,
            93008: Reason.CREDENTIALS,
        },
        per_minute=20,
    ),
    "dingtalk": Vendor(
        body=_dingtalk,
        joint="\n\n",
        fits=lambda message, text: len(encode(_dingtalk(message, text))) <= BODY_BYTES,
        sign=_dingtalk_signed,
        codes=("errcode",),
        words="errmsg",
        reasons={
            -1: Reason.UNAVAILABLE,
            90018: Reason.RATE_LIMITED,
            90030: Reason.RATE_LIMITED,
            130101: Reason.RATE_LIMITED,
            302033: Reason.RATE_LIMITED,
            410100: Reason.RATE_LIMITED,
            300001: Reason.CREDENTIALS,
            300005: Reason.CREDENTIALS,
            310000: Reason.CREDENTIALS,
            400013: Reason.CREDENTIALS,
            400101: Reason.CREDENTIALS,
            400102: Reason.CREDENTIALS,
            400106: Reason.CREDENTIALS,
        },
        per_minute=20,
    ),
    "feishu": Vendor(
        body=_feishu,
        joint="\n",
        fits=lambda message, text: len(encode(_feishu(message, text))) + SIGNATURE_BYTES <= BODY_BYTES,
        sign=_feishu_signed,
        codes=("code", "StatusCode"),
        words="msg",
        reasons={
            11232: Reason.RATE_LIMITED,
            230020: Reason.RATE_LIMITED,
            99991400: Reason.RATE_LIMITED,
            19001: Reason.CREDENTIALS,
            19021: Reason.CREDENTIALS,
            19022: Reason.CREDENTIALS,
            19024: Reason.CREDENTIALS,
        },
        per_minute=100,
    ),
}
