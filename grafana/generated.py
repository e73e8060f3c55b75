"""Generated files: they are committed, and must be what their source makes of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


def settle(folder: Path, files: Mapping[str, str], *, check: bool) -> int:
    """Make the folder hold these files and no others, or with `check` only say what differs.

    Returns the exit status: 1 if a check found a difference, else 0.
    """
    held = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}
    wrong = [name for name in sorted({*held, *files}) if held.get(name) != files.get(name)]
    for name in wrong:
        path = folder / name
        if check:
            sys.stderr.write(f"{path} differs from its source; build it again\n")
        elif name in files:
            path.write_text(files[name], encoding="utf-8")
            sys.stdout.write(f"wrote {path}\n")
        else:
            path.unlink()
            sys.stdout.write(f"removed {path}\n")
    return int(check and bool(wrong))
