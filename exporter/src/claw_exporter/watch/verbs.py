"""The names of operations: from closed lists, whatever a program sends."""

# Any: whatever a program sends. Words are split, since a list of them could not be read.
# ruff: noqa: ANN401, SIM905

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

__all__ = ["BLOCKING_COMMANDS", "OTHER", "REDIS_COMMANDS", "SQL_VERBS", "redis_command", "sql_verb"]

OTHER: Final = "other"

SQL_VERBS: Final = tuple(
    """
    abort alter analyze begin call close comment commit copy create deallocate declare delete discard do
    drop end execute explain fetch grant import insert listen lock merge move notify pragma prepare
    reassign refresh reindex release replace reset revoke rollback savepoint select set show start table
    truncate unlisten update use vacuum values
    """.split()
)
_VERBS: Final = {verb: verb for verb in SQL_VERBS} | {
    "begin;": "begin",
    "commit;": "commit",
    "rollback;": "rollback",
    "select*": "select",
}
_FIRST_CHARACTERS: Final = 12  # longer than every verb, so that none is made by cutting
_LOOKED_AT_CHARACTERS: Final = 4096
_FIRST_WORD: Final = re.compile(
    r"(?:[\s(;]++|--[^\n]*+|/\*.*?\*/)*+([a-z]++)(?!\w)", re.DOTALL | re.IGNORECASE
)
# What may hide a parenthesis or a word, parentheses, and the words that a WITH is for.
_AFTER_WITH: Final = re.compile(
    r"""'[^']*+'|"[^"]*+"|--[^\n]*+|/\*.*?\*/|\$(\w*+)\$.*?\$\1\$"""
    r"""|(?P<open>\()|(?P<close>\))|\b(?P<verb>select|insert|update|delete|merge|replace|values|table)\b""",
    re.DOTALL | re.IGNORECASE,
)


def sql_verb(statement: Any) -> str:
    """Return the verb of an SQL statement in small letters; that which a WITH is for; or ``other``."""
    try:
        found = _VERBS.get(statement[:_FIRST_CHARACTERS].split(None, 1)[0].lower())
        return found or _verb_behind(statement[:_LOOKED_AT_CHARACTERS])
    except Exception:  # noqa: BLE001  # what it is given may be anything, and the call goes on
        return OTHER


@lru_cache(maxsize=256)
def _verb_behind(statement: str) -> str:
    """Return the verb behind comments and parentheses."""
    first = _FIRST_WORD.match(statement)
    word = first[1].lower() if first else ""
    if word != "with":
        return _VERBS.get(word, OTHER)
    depth = 0
    for token in _AFTER_WITH.finditer(statement, first.end() if first else 0):
        depth += bool(token["open"]) - bool(token["close"])
        if depth == 0 and token["verb"]:
            return token["verb"].lower()
    return OTHER


REDIS_COMMANDS: Final = tuple(
    """
    acl append auth bgrewriteaof bgsave bitcount bitfield bitfield_ro bitop bitpos client cluster command
    config copy dbsize debug decr decrby del discard dump echo exec exists expire expireat expiretime
    failover flushall flushdb geoadd geodist geohash geopos georadius georadius_ro georadiusbymember
    georadiusbymember_ro geosearch geosearchstore get getbit getdel getex getrange getset hdel hello
    hexists hexpire hexpireat hexpiretime hget hgetall hgetdel hgetex hincrby hincrbyfloat hkeys hlen
    hmget hmset hpersist hpexpire hpexpireat hpexpiretime hpttl hrandfield hscan hset hsetex hsetnx
    hstrlen httl hvals incr incrby incrbyfloat info keys lastsave latency lcs lindex linsert llen lmove
    lmpop lolwut lpop lpos lpush lpushx lrange lrem lset ltrim memory mget migrate module move mset
    msetnx multi object persist pexpire pexpireat pexpiretime pfadd pfcount pfmerge ping pipeline psetex
    pttl publish pubsub quit randomkey readonly readwrite rename renamenx replicaof reset restore role
    rpop rpoplpush rpush rpushx sadd save scan scard sdiff sdiffstore select set setbit setex setnx
    setrange shutdown sinter sintercard sinterstore sismember slowlog smembers smismember smove sort
    sort_ro spop spublish srandmember srem sscan strlen sunion sunionstore swapdb time touch ttl type
    unlink unwatch watch xack xadd xautoclaim xclaim xdel xgroup xinfo xlen xpending xrange xread
    xreadgroup xrevrange xsetid xtrim zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard
    zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore
    zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex
    zrevrangebyscore zrevrank zscan zscore zunion zunionstore
    """.split()
)
# They wait for others, not for Redis: a duration of theirs says nothing about it.
BLOCKING_COMMANDS: Final = tuple(
    "blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin monitor wait waitaof".split()
)
_COMMANDS: Final = {
    spelled: name
    for known, blocks in ((REDIS_COMMANDS, False), (BLOCKING_COMMANDS, True))
    for command in known
    for name in ("" if blocks else command,)
    for spelled in (command, command.upper())
}
_MAY_BLOCK: Final = frozenset(("xread", "xreadgroup"))
_BLOCK: Final = frozenset(("BLOCK", b"BLOCK", "block", b"block"))


def redis_command(words: tuple[Any, ...]) -> str:
    """Return the name of a command in small letters, or ``other``; empty where it is one that blocks."""
    try:
        name = _COMMANDS.get(words[0])
        if name is None:
            name = _spelled_otherwise(words[0])
        if name in _MAY_BLOCK and any(isinstance(word, (str, bytes)) and word in _BLOCK for word in words):
            return ""
    except Exception:  # noqa: BLE001  # as above; a memoryview that can be written has no hash
        return OTHER
    return name


def _spelled_otherwise(name: Any) -> str:
    text = name.decode("latin-1") if isinstance(name, bytes) else name
    return _COMMANDS.get(text[:64].partition(" ")[0].lower(), OTHER)
