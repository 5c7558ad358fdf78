#!/usr/bin/env bash
# Compiles the hashed requirements files from the projects' own pyproject.toml; no registry's address gets in.
# Our own projects are left out: they are installed from this repository.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() { # OUT SOURCE...
  local out=$1
  shift
  .venv/bin/uv pip compile "$@" "${upgrade[@]}" --quiet --generate-hashes --universal --python-version 3.11 \
    --no-emit-package claw-exporter --no-emit-index-url --no-annotate \
    --custom-compile-command "make lock" --output-file "$out"
  echo "$out: $(grep -c == "$out") packages"
}

upgrade=("$@")
compile requirements/dev.txt exporter/pyproject.toml examples/chat/pyproject.toml preview/pyproject.toml \
  native/pyproject.toml relay/pyproject.toml hub/pyproject.toml requirements/dev.in --all-extras
compile exporter/requirements.txt exporter/pyproject.toml --extra server --constraints requirements/dev.txt
compile exporter/requirements-build.txt exporter/requirements-build.in --constraints requirements/dev.txt
compile exporter/requirements-sbom.txt exporter/requirements-sbom.in --constraints requirements/dev.txt
compile examples/chat/requirements.txt examples/chat/pyproject.toml --constraints requirements/dev.txt
compile relay/requirements.txt relay/pyproject.toml --constraints requirements/dev.txt
compile hub/requirements.txt hub/pyproject.toml --extra embedded --constraints requirements/dev.txt
# The versions that `make matrix` proves the middleware on.
while read -r name versions; do
  # shellcheck disable=SC2086  # several words
  printf '%s\n' pytest $versions | compile "tests/matrix/requirements/$name.txt" exporter/pyproject.toml -
done < <(grep -v '^#' tests/matrix/versions.txt)
# The peers that bench/ measures and the example app; what they share with the tests has the versions of the tests.
compile bench/requirements.txt bench/requirements.in examples/chat/pyproject.toml \
  --constraints requirements/dev.txt
