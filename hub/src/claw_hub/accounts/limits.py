"""How much a tenant may send: tokens of a month, projects, and records a second; counted in Redis."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import redis

from claw_hub.errors import QuotaError, RateError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from redis.asyncio import Redis

    from claw_hub.accounts.model import Principal, Quota

__all__ = ["Admission", "Limits"]

KEEP_SECONDS: Final = 400 * 86_400  # of a month's count
BURST_SECONDS: Final = 10.0
# Clients of OpenTelemetry ignore a longer time than this.
LONGEST_RETRY_SECONDS: Final = 8
WARN_RATIO: Final = 0.8
PAUSE_SECONDS: Final = 1.0

# Nothing is counted unless all of it is admitted, and nobody comes between the parts: so it is one script.
# A limit of -1 is none. Of the rate, what is counted is how far ahead of it the tenant is, in records: a
# request passes where that is less than a burst, so one of any size does pass some time.
_SCRIPT: Final = """
local tokens_key, projects_key, rate_key = KEYS[1], KEYS[2], KEYS[3]
local now, records, tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local max_tokens, max_projects, rate = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local burst, keep, reject = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9] == '1'
local ahead = 0
if rate > 0 then
  local held = redis.call('HMGET', rate_key, 'ahead', 'at')
  local passed = math.max(0, now - tonumber(held[2] or now))
  ahead = math.max(0, tonumber(held[1] or '0') - passed * rate)
  if ahead >= burst then
    return {'rate', tostring((ahead - burst) / rate), '0', '0', '0'}
  end
end
local used = tonumber(redis.call('GET', tokens_key) or '0')
local tokens_over = max_tokens >= 0 and used >= max_tokens
if tokens_over and reject then
  return {'tokens', '0', string.format('%.0f', used), '0', '0'}
end
local seen, new, projects_over = 0, {}, false
if max_projects >= 0 then
  seen = redis.call('SCARD', projects_key)
  for i = 10, #ARGV do
    if redis.call('SISMEMBER', projects_key, ARGV[i]) == 0 then
      if seen + #new < max_projects then
        new[#new + 1] = ARGV[i]
      else
        projects_over = true
      end
    end
  end
  if projects_over and reject then
    return {'projects', '0', string.format('%.0f', used), tostring(seen), '0'}
  end
  for _, project in ipairs(new) do
    redis.call('SADD', projects_key, project)
  end
end
if rate > 0 then
  redis.call('HSET', rate_key, 'ahead', tostring(ahead + records), 'at', tostring(now))
  redis.call('EXPIRE', rate_key, math.ceil((ahead + records) / rate) + 1)
end
if max_tokens >= 0 then
  if tokens > 0 then
    redis.call('INCRBY', tokens_key, ARGV[3])
    redis.call('EXPIRE', tokens_key, keep)
  end
  used = used + tokens
end
local flags = (tokens_over and 1 or 0) + (projects_over and 2 or 0)
return {'', '0', string.format('%.0f', used), tostring(seen + #new), tostring(flags)}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What is told about a request that is let in.

    Attributes:
        headers: `X-Quota-*` of the answer; empty where the tenant has no limit, or nobody could count.
        exceeded: `tokens`, `projects`, or both: what the tenant has used up and may exceed.
        is_warning: The one request of a month that used more than 80 % of its tokens.
        is_counted: Whether it was counted; not where Redis is away.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    exceeded: frozenset[str] = frozenset()
    is_warning: bool = False
    is_counted: bool = True


class Limits:
    """Counts what tenants send, for all processes together.

    Args:
        client: Of Redis; decodes answers, or does not.
        clock: Seconds since 1970.
        timeout_seconds: After this Redis is taken for away, and left alone for a second.
        max_running: Requests that are counted at once; more wait for a turn.
    """

    def __init__(
        self,
        client: Redis,
        *,
        clock: Callable[[], float],
        timeout_seconds: float = 1.0,
        max_running: int = 8,
    ) -> None:
        self._client = client
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._script = client.register_script(_SCRIPT)
        # A client has a bounded number of connections, and others use it too.
        self._turn = asyncio.Semaphore(max_running)
        self._away_until = 0.0

    async def admit(
        self, principal: Principal, *, records: int, tokens: int, projects: Collection[str]
    ) -> Admission:
        """Counts a request, whole or not at all; where Redis is away it is let in.

        Args:
            principal: Who sends it.
            records: In it.
            tokens: Input and output tokens that its records tell of.
            projects: That its records name; the empty one counts for none.

        Raises:
            QuotaError: The tenant has used its tokens or projects, and what is beyond is rejected.
            RateError: It sends faster than it may.
        """
        quota = principal.tenant.quota
        if quota.tokens_per_month is quota.projects is quota.records_per_second is None:
            return Admission()
        arguments = self._arguments(quota, records, tokens)
        named = sorted({project for project in projects if project})
        answer = await self._asked(self._keys(principal.tenant.id), [*arguments, *named])
        if answer is None:
            return Admission(is_counted=False)
        return self._understood(principal, tokens, [_text(part) for part in answer])

    async def used(self, tenant_id: int) -> int:
        """Returns the tokens that were counted in this month.

        Raises:
            redis.RedisError: Redis is away.
        """
        return int(await self._client.get(self._keys(tenant_id)[0]) or 0)

    async def correct(self, tenant_id: int, tokens: int) -> None:
        """Sets what was counted in this month to what the warehouse found: retries were counted twice.

        Raises:
            redis.RedisError: Redis is away.
        """
        await self._client.set(self._keys(tenant_id)[0], tokens, ex=KEEP_SECONDS)

    async def _asked(self, keys: Sequence[str], arguments: Sequence[Any]) -> Sequence[Any] | None:
        """Returns what the script says, or nothing where Redis is away: then nobody waits for long."""
        async with self._turn:
            if self._clock() < self._away_until:
                return None
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    return await self._script(keys=keys, args=arguments)  # type: ignore[no-any-return] # a script's answer has no type
            except (redis.RedisError, OSError):
                self._away_until = self._clock() + PAUSE_SECONDS
                return None

    def _keys(self, tenant_id: int) -> tuple[str, str, str]:
        month = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y%m")
        quota = f"claw:hub:quota:{tenant_id}"
        return f"{quota}:{month}", f"{quota}:projects", f"claw:hub:rate:{tenant_id}"

    def _arguments(self, quota: Quota, records: int, tokens: int) -> list[Any]:
        rate = quota.records_per_second or -1.0
        return [
            f"{self._clock():.6f}",
            records,
            tokens,
            -1 if quota.tokens_per_month is None else quota.tokens_per_month,
            -1 if quota.projects is None else quota.projects,
            rate,
            rate * BURST_SECONDS,
            KEEP_SECONDS,
            int(quota.on_exceeded == "reject"),
        ]

    def _understood(self, principal: Principal, tokens: int, answer: list[str]) -> Admission:
        refusal, wait, used, projects, flags = answer
        tenant = principal.tenant
        quota = tenant.quota
        if refusal == "rate":
            seconds = min(max(1, math.ceil(float(wait))), LONGEST_RETRY_SECONDS)
            raise RateError(
                f"{tenant.slug} sends more than {quota.records_per_second:g} records a second",
                retry_after_seconds=seconds,
            )
        if refusal:
            limit = quota.tokens_per_month if refusal == "tokens" else quota.projects
            of = "tokens of this month" if refusal == "tokens" else "projects"
            raise QuotaError(
                f"{tenant.slug} has used its {limit} {of}; ask its operator for more",
                retry_after_seconds=LONGEST_RETRY_SECONDS,
            )
        exceeded = {name for bit, name in ((1, "tokens"), (2, "projects")) if int(flags) & bit}
        return Admission(
            headers=self._headers(quota, int(used), int(projects), exceeded),
            exceeded=frozenset(exceeded),
            is_warning=_is_warning(quota.tokens_per_month, int(used) - tokens, int(used)),
        )

    def _headers(self, quota: Quota, used: int, projects: int, exceeded: Collection[str]) -> dict[str, str]:
        headers = {"X-Quota-Exceeded": ",".join(sorted(exceeded))} if exceeded else {}
        if quota.tokens_per_month is not None:
            headers["X-Quota-Tokens-Limit"] = str(quota.tokens_per_month)
            headers["X-Quota-Tokens-Used"] = str(used)
            headers["X-Quota-Tokens-Reset"] = str(self._month_end_seconds())
        if quota.projects is not None:
            headers["X-Quota-Projects-Limit"] = str(quota.projects)
            headers["X-Quota-Projects-Used"] = str(projects)
        return headers

    def _month_end_seconds(self) -> int:
        now = datetime.fromtimestamp(self._clock(), UTC)
        year, month = divmod(now.year * 12 + now.month, 12)
        return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp())


def _is_warning(limit: int | None, before: int, after: int) -> bool:
    return limit is not None and before < limit * WARN_RATIO <= after


def _text(part: Any) -> str:  # noqa: ANN401 - as the client decodes it
    return part.decode() if isinstance(part, bytes) else str(part)
