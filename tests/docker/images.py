"""Builds images under the tags that docker-compose.prod.yml and our Dockerfiles name."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.docker.engine import Engine, EngineError
from tests.docker.layers import Layers, write_etc
from tests.docker.stand_ins import BASES, BUSYBOX, STAND_INS, StandIn, repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

RECIPES = Path(__file__).with_name("recipes")
PREFIX = "claw-stand-in"
LABEL = "claw.fingerprint"
BUILD_SECONDS = 240


class Builder:
    """Builds stand-ins, and on them the project's own images, in one engine.

    Args:
        engine: Where they are built.
        layers: Their packages.
        say: Receives one line of progress per image.

    Several threads may build; stand-ins are made one after the other, because they share bases.
    """

    def __init__(self, engine: Engine, layers: Layers, *, say: Callable[[str], None]) -> None:
        self.engine = engine
        self.layers = layers
        self.say = say
        self._built: dict[str, str] = {}
        self._one = threading.RLock()

    def base(self) -> str:
        """Builds the smallest one with a shell; returns its name."""
        self._image(BUSYBOX)
        return f"{PREFIX}/{BUSYBOX.name}"

    def build(self, reference: str) -> None:
        """Makes a stand-in available as what the compose file calls it, such as `prom/prometheus:v3.13.3`."""
        stand_in = STAND_INS.get(repository(reference))
        if stand_in is None:
            raise EngineError(f"there is no stand-in for {reference}; add one to tests/docker/stand_ins.py")
        with self._one, self._timed(reference):
            self._image(stand_in)
            self.engine.docker("tag", f"{PREFIX}/{stand_in.name}", reference)

    def build_own(self, reference: str, build: Mapping[str, Any]) -> None:
        """Builds an image of the project from its real Dockerfile; `build` is as Compose understands it."""
        context = Path(build["context"])
        dockerfile = context / build.get("dockerfile", "Dockerfile")
        for base in bases(dockerfile.read_text()):
            self.build(base)
        arguments = {**build.get("args", {})}
        if self.engine.proxy:
            arguments |= {"HTTP_PROXY": self.engine.proxy, "HTTPS_PROXY": self.engine.proxy}
        flags = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        with self._timed(reference):
            words = ("--quiet", "--network=host", *flags, f"--file={dockerfile}", f"--tag={reference}")
            self.engine.docker("build", *words, str(context), timeout_seconds=BUILD_SECONDS)

    @contextmanager
    def _timed(self, reference: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.say(f"  {reference:<52} {time.monotonic() - started:5.1f} s")

    def _image(self, stand_in: StandIn) -> str:
        """Builds one unless the engine has it; returns the fingerprint of what it is made of."""
        if stand_in.name in self._built:
            return self._built[stand_in.name]
        below = self._image(BASES[stand_in.on]) if stand_in.on else ""
        folder = self.layers.folder / stand_in.name
        fingerprint = self._built[stand_in.name] = self._recipe(stand_in, folder, below)
        tag = f"{PREFIX}/{stand_in.name}"
        shown = self.engine.run(
            "image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', tag
        )
        if shown.stdout.strip() != fingerprint:
            os.link(self.layers.archive(stand_in), folder / "packages.tar")
            words = ("--quiet", "--network=none", f"--label={LABEL}={fingerprint}", f"--tag={tag}")
            self.engine.docker("build", *words, str(folder), timeout_seconds=BUILD_SECONDS)
        return fingerprint

    def _recipe(self, stand_in: StandIn, folder: Path, below: str) -> str:
        """Fills a build folder with all but the packages; returns its fingerprint."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(RECIPES / f"{stand_in.name}.Dockerfile", folder / "Dockerfile")
        for name in stand_in.files:
            shutil.copy(RECIPES / name, folder)
        write_etc(folder / "etc", stand_in, os.environ)
        digest = hashlib.sha256(f"{below}{stand_in}".encode())
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()


def bases(dockerfile: str) -> list[str]:
    """Returns the images a Dockerfile is built on, with its arguments' defaults; its own stages are none."""
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", dockerfile, re.MULTILINE))
    stages = set(re.findall(r"^FROM .* AS (\S+)", dockerfile, re.MULTILINE | re.IGNORECASE))
    named = re.findall(r"^FROM (?:--\S+ )?(\S+)", dockerfile, re.MULTILINE)
    filled = (re.sub(r"\$\{?(\w+)\}?", lambda found: arguments[found[1]], name) for name in named)
    return sorted({name for name in filled if name not in {*stages, "scratch"}})
