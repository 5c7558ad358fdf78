"""The certificate of the public door: made for a trial, looked at before every start; all by openssl."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from claw_compose.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "NAMES_BESIDE",
    "SOON",
    "TRIAL_DAYS",
    "Certificate",
    "covers",
    "is_address",
    "make_trial",
    "read",
    "same_key",
]

TRIAL_DAYS: Final = 90
# As long before its end as TlsCertificateExpiring warns.
SOON: Final = timedelta(days=14)
# Who else asks the door: this machine, and the probes inside the stack.
NAMES_BESIDE: Final = ("localhost", "nginx", "127.0.0.1")
# What `openssl x509` prints, such as notAfter=Nov 21 09:00:00 2027 GMT.
DATE: Final = "%b %d %H:%M:%S %Y %Z"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says.

    Attributes:
        ends: When it expires.
        self_signed: Nobody but its maker vouches for it.
    """

    ends: datetime
    self_signed: bool


def make_trial(certificate: Path, key: Path, host: str, environ: Mapping[str, str]) -> None:
    """Writes a certificate that signs itself, for `host` and for this machine.

    Raises:
        CommandError: openssl is missing, or refuses.
    """
    names = dict.fromkeys([host, *NAMES_BESIDE])
    alternatives = ",".join(f"{'IP' if is_address(name) else 'DNS'}:{name}" for name in names)
    _openssl(
        environ,
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", str(TRIAL_DAYS), "-subj", "/O=claw trial certificate"),
        *("-addext", f"subjectAltName={alternatives}"),
        *("-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"),
        *("-keyout", str(key), "-out", str(certificate)),
    )


def read(certificate: Path, environ: Mapping[str, str]) -> Certificate:
    """Returns what the first certificate of a file says.

    Raises:
        CommandError: It is none, or openssl is missing.
    """
    shown = _openssl(
        environ, "x509", "-noout", "-enddate", "-issuer", "-subject", "-in", str(certificate)
    ).splitlines()
    told = dict(line.split("=", 1) for line in shown if "=" in line)
    ends = datetime.strptime(told["notAfter"], DATE).replace(tzinfo=UTC)
    return Certificate(ends=ends, self_signed=told.get("issuer") == told.get("subject"))


def covers(certificate: Path, host: str, environ: Mapping[str, str]) -> bool:
    """Tells whether a certificate is valid for a host name or address."""
    option = "-checkip" if is_address(host) else "-checkhost"
    # openssl 3.0 answers in words only; its exit code is 0 either way.
    shown = _openssl(environ, "x509", "-noout", option, host, "-in", str(certificate))
    return re.search(r"does NOT match", shown) is None


def same_key(certificate: Path, key: Path, environ: Mapping[str, str]) -> bool:
    """Tells whether a key belongs to a certificate.

    Raises:
        CommandError: One of the two cannot be read.
    """
    of_certificate = _openssl(environ, "x509", "-noout", "-pubkey", "-in", str(certificate))
    of_key = _openssl(environ, "pkey", "-pubout", "-in", str(key))
    return of_certificate.strip() == of_key.strip()


def is_address(host: str) -> bool:
    """Tells whether a host is an IP address."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _openssl(environ: Mapping[str, str], *arguments: str) -> str:
    program = shutil.which("openssl", path=environ.get("PATH", ""))
    if program is None:
        raise CommandError("openssl is missing: install it (apt-get install openssl), then run this again")
    done = subprocess.run(  # noqa: S603 - our own arguments
        [program, *arguments],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"openssl {arguments[0]}: {done.stderr.strip() or 'failed'}")
    return done.stdout
