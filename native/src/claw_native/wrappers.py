"""The small shell programs in `.run/tools/bin` that start what was fetched, from any working directory."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from claw_native.programs import Wrapper

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HEAD = """\
#!/bin/sh
# Written by `claw-native tools`; starts {title}.
here=$(dirname "$(readlink -f "$0")")
program={program}
"""

# Fetched libraries come after nothing: the system's own C library is never among them.
LIBRARIES = """\
LD_LIBRARY_PATH={paths}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}
export LD_LIBRARY_PATH
"""

FONTS = """\
FONTCONFIG_FILE=${{FONTCONFIG_FILE:-{file}}}
export FONTCONFIG_FILE
"""

PLAIN = 'exec "$program" "$@"\n'

# Only this process and its children see the changed /usr/share: a mount namespace of their own.
# A container may allow none. Then a copy of the program looks for its files where descriptor 9 is open:
# slashes make that path as long as the one it replaces, so nothing in the program moves.
OWN_SHARE = """\
share={share}
if [ -d "$share" ]; then
  exec "$program" "$@"
fi
if unshare -m true 2>/dev/null; then
  namespace=-m
elif unshare -rm true 2>/dev/null; then
  namespace=-rm
else
  if [ ! -x "$program.portable" ]; then
    LC_ALL=C sed 's#{share}#{short}#g' "$program" > "$program.$$" || exit 1
    chmod +x "$program.$$" && mv "$program.$$" "$program.portable" || exit 1
  fi
  exec "$program.portable" "$@" 9<"$here"/{usr}"${{share#/usr}}"
fi
came_from=$PWD
cd "$here"/{usr} || exit 1
exec unshare "$namespace" sh -c '
  mount -t overlay overlay -o lowerdir=share:/usr/share /usr/share 2>/dev/null ||
    mount --bind share /usr/share || exit 1
  cd "$0" && exec "$@"' "$came_from" "$program" "$@"
"""

# Files of root belong to user 1000 inside the namespace: nothing has to change its owner.
# A container may allow none. Then it is nobody, who may still go where root may; Postgres asks access()
# about its own files, which heeds those rights with no_setuid_fixup only.
NOT_ROOT = """\
if [ "$(id -u)" != 0 ]; then
  exec "$program" "$@"
fi
if unshare -U --map-user=1000 --map-group=1000 true 2>/dev/null; then
  exec unshare -U --map-user=1000 --map-group=1000 "$program" "$@"
fi
exec setpriv --reuid=65534 --regid=65534 --clear-groups --pdeathsig=INT \\
  --securebits=+no_setuid_fixup --inh-caps=+dac_override,+fowner --ambient-caps=+dac_override,+fowner \\
  "$program" "$@"
"""

ALERTMANAGER_SHARE = "/usr/share/prometheus/alertmanager"
ANY_FOLDER = "/proc/self/fd/9"


def _relative(path: Path, tools: Path) -> str:
    """Names a file of the tools folder relative to the wrapper, so that the folder can move."""
    if path.is_relative_to(tools):
        return '"$here"/' + shlex.quote(f"../{path.relative_to(tools)}")
    return shlex.quote(str(path))


def wrapper_text(  # noqa: PLR0913 - each one is a line of the file
    title: str,
    program: Path,
    *,
    tools: Path,
    wrapper: Wrapper = Wrapper.PLAIN,
    libraries: Iterable[Path] = (),
    fonts: Path | None = None,
) -> str:
    """Writes one wrapper.

    Args:
        title: What it starts, for the comment.
        program: The executable.
        tools: `.run/tools`; paths below it are written relative to the wrapper.
        wrapper: What the program needs around it.
        libraries: Folders of fetched shared libraries.
        fonts: A fontconfig file, for machines without fonts.
    """
    text = HEAD.format(title=title, program=_relative(program, tools))
    folders = ":".join(_relative(folder, tools) for folder in libraries)
    if folders:
        text += LIBRARIES.format(paths=folders)
    if fonts:
        text += FONTS.format(file=_relative(fonts, tools))
    match wrapper:
        case Wrapper.PLAIN:
            return text + PLAIN
        case Wrapper.NOT_ROOT:
            return text + NOT_ROOT
        case Wrapper.OWN_SHARE:
            usr = program.relative_to(tools).parent.parent
            short = ANY_FOLDER.ljust(len(ALERTMANAGER_SHARE), "/")
            return text + OWN_SHARE.format(
                share=ALERTMANAGER_SHARE, short=short, usr=shlex.quote(f"../{usr}")
            )
