"""Our Dockerfiles: what can be said of them without building them. tests/docker builds and runs them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Image:
    """A Dockerfile of ours.

    Attributes:
        name: Of the image.
        dockerfile: Where it is.
        context: The folder it is built from.
        project: The folder of the Python project it runs.
    """

    name: str
    dockerfile: Path
    context: Path
    project: Path

    def instructions(self, name: str) -> list[str]:
        text = re.sub(r"^\s*#.*\n", "", self.dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
        return [" ".join(rest.split()) for rest in re.findall(rf"^{name} +(.*)$", text, re.MULTILINE)]

    def stages(self) -> list[str]:
        """The text of each stage, the first instruction being its FROM."""
        return re.split(r"^(?=FROM )", self.dockerfile.read_text(), flags=re.MULTILINE)[1:]

    def copied(self) -> list[str]:
        """What is copied from the folder that is built from."""
        lines = [line for line in self.instructions("COPY") if not line.startswith("--from")]
        return [source for line in lines for source in line.split()[:-1]]

    def labels(self) -> dict[str, str]:
        (line,) = self.instructions("LABEL")
        return {
            name.removeprefix("org.opencontainers.image."): value
            for name, value in re.findall(r'(\S+)="([^"]*)"', line)
        }

    def pyproject(self) -> dict[str, Any]:
        project: dict[str, Any] = tomllib.loads((self.project / "pyproject.toml").read_text())["project"]
        return project


EXPORTER = Image("claw-exporter", ROOT / "exporter" / "Dockerfile", ROOT / "exporter", ROOT / "exporter")
CHAT = Image("claw-chat", ROOT / "examples" / "chat" / "Dockerfile", ROOT, ROOT / "examples" / "chat")
RELAY = Image("claw-relay", ROOT / "relay" / "Dockerfile", ROOT, ROOT / "relay")
OURS = (EXPORTER, CHAT, RELAY)
IMAGES = [pytest.param(image, id=image.name) for image in OURS]
each_image = pytest.mark.parametrize("image", IMAGES)


def test_every_dockerfile_is_tested_here() -> None:
    known = {image.dockerfile for image in OURS}
    folders = [
        path for path in ROOT.iterdir() if path.is_dir() and path.name not in {".run", ".venv", "tests"}
    ]

    assert {path for folder in folders for path in folder.rglob("Dockerfile")} == known


@each_image
def test_everything_copied_exists_and_nothing_else_is_let_in(image: Image) -> None:
    lines = (image.context / ".dockerignore").read_text().splitlines()

    assert "*" in lines
    of_one_context = [other for other in OURS if other.context == image.context]
    copied = {source for other in of_one_context for source in other.copied()}
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert [source for source in image.copied() if not (image.context / source).exists()] == []


@each_image
def test_no_secret_and_no_history_gets_near_an_image(image: Image) -> None:
    let_in = [
        line[1:] for line in (image.context / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]

    assert [path for path in let_in if re.search(r"secret|\.env|\.git|^\.$|\*", path)] == []


@each_image
def test_the_base_is_pinned_to_a_patch_release_and_is_the_same_in_every_stage(image: Image) -> None:
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-[a-z]+", image.instructions("ARG")[0])
    *builds, final = image.instructions("FROM")
    assert {line.split(" AS ")[0] for line in builds} == {"python:${PYTHON}"}
    assert final == "scratch"


def test_all_images_have_one_base_and_one_way_to_trim_it() -> None:
    assert len({image.instructions("ARG")[0] for image in OURS}) == 1
    assert len({image.stages()[0].split("# -- ")[0] for image in OURS}) == 1


@each_image
def test_it_runs_as_an_ordinary_user_by_number(image: Image) -> None:
    (user,) = image.instructions("USER")

    assert re.fullmatch(r"([1-9]\d{4}):\1", user)
    assert f"--uid {user.split(':')[0]} " in image.dockerfile.read_text()


def test_no_two_images_share_a_user() -> None:
    assert len({str(image.instructions("USER")) for image in OURS}) == len(OURS)


@each_image
def test_only_hashed_wheels_are_installed(image: Image) -> None:
    commands = [part for line in image.instructions("RUN") for part in re.split("&&|;", line)]
    installs = [command for command in commands if "-m pip " in command]

    assert len(installs) == 5
    for install in installs:
        hashed = "--require-hashes" in install and "--only-binary :all:" in install
        ours = "--no-deps" in install and re.search("--no-index|--no-build-isolation", install)
        assert hashed or ours, install


@each_image
def test_nothing_is_fetched_but_hashed_wheels(image: Image) -> None:
    assert image.instructions("ADD") == []
    assert re.findall(r"\b(?:curl|wget|apt-get|git)\b", " ".join(image.instructions("RUN"))) == []


@each_image
def test_it_builds_without_buildkit_too(image: Image) -> None:
    text = image.dockerfile.read_text()

    assert re.findall(r"^# *syntax|--mount|--link|--chmod|<<", text, re.MULTILINE) == []


@each_image
def test_every_locked_package_has_its_hashes(image: Image) -> None:
    files = [image.context / source for source in image.copied() if "requirements" in source]

    assert len(files) == 3
    for file in files:
        packages = re.split(r"\n(?=\S+==)", file.read_text())[1:]
        assert packages
        assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []


@each_image
def test_every_dependency_of_the_project_is_locked(image: Image) -> None:
    project = image.pyproject()
    wanted = project["dependencies"] + project.get("optional-dependencies", {}).get("server", [])
    locked = set(re.findall(r"^(\S+)==", (image.project / "requirements.txt").read_text(), re.MULTILINE))

    missing = {name for entry in wanted for name in re.findall(r"^[\w-]+", entry)} - locked
    assert missing <= {"claw-exporter"}  # it is built from this repository


@each_image
def test_the_labels_say_what_it_is_and_where_it_comes_from(image: Image) -> None:
    project = image.pyproject()
    labels = image.labels()

    assert set(labels) == {
        *("title", "description", "licenses", "version", "documentation", "source", "revision", "created"),
        "base.name",
    }
    assert (labels["title"], labels["version"]) == (image.name, project["version"])
    assert (
        labels["licenses"]
        == tomllib.loads((ROOT / "exporter/pyproject.toml").read_text())["project"]["license"]
    )
    assert (ROOT / labels["documentation"]).is_file()


@each_image
def test_what_only_the_one_who_builds_knows_is_an_argument_with_an_honest_default(image: Image) -> None:
    arguments = dict(line.partition("=")[::2] for line in image.instructions("ARG")[1:])

    assert arguments == {
        "PYTHON": "",
        "CLAW_IMAGE_SOURCE": "unknown",
        "CLAW_IMAGE_REVISION": "unknown",
        "CLAW_IMAGE_CREATED": "1970-01-01T00:00:00Z",
    }
    used = set(re.findall(r"\$\{(\w+)\}", str(image.labels())))
    assert used == set(arguments)


@each_image
def test_compose_builds_it_under_its_version_with_those_arguments(image: Image, root: Path) -> None:
    text = (root / "docker-compose.prod.yml").read_text()
    (arguments,) = {*re.findall(r"args: \[(.*?)\]", text)}

    assert set(arguments.split(", ")) == {
        line.split("=")[0] for line in image.instructions("ARG") if line.startswith("CLAW_")
    }
    assert set(re.findall(rf"image: {image.name}:(\S+)", text)) == {image.pyproject()["version"]}


@each_image
def test_the_bill_of_materials_is_where_the_documentation_says(image: Image) -> None:
    path = f"/usr/share/sbom/{image.name}.cdx.json"
    page = (ROOT / "docs" / "MONITORING_DEPLOYMENT.md").read_text()
    tag = f"{image.name}:{image.pyproject()['version']}"

    assert f"COPY --from=sbom /sbom/{image.name}.cdx.json /usr/share/sbom/" in image.dockerfile.read_text()
    assert f"docker run --rm --entrypoint cat {image.name} {path}\n" in image.dockerfile.read_text()
    assert f"docker run --rm --entrypoint cat {tag} {path} > {image.name}.cdx.json\n" in page


def test_the_documented_base_is_the_one_that_is_pinned() -> None:
    page = (ROOT / "docs" / "MONITORING_DEPLOYMENT.md").read_text()

    assert f"`python:{EXPORTER.instructions('ARG')[0].removeprefix('PYTHON=')}`" in page


@each_image
def test_python_writes_no_file_while_it_runs(image: Image) -> None:
    (environment,) = image.instructions("ENV")
    compiled = [line for line in image.instructions("RUN") if "compileall" in line]

    assert "PYTHONDONTWRITEBYTECODE=1" in environment
    # The standard library once, the packages once; trusted, because the copied sources have other times.
    assert [line.count("--invalidation-mode unchecked-hash") for line in compiled] == [1, 1]
