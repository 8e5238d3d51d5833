"""The pair that is put on other hosts, for tests where tools/cross-build has not made the static one: the programs under test
themselves. Good on a host of the same kind, such as this one; tests/guestbin has the static pair."""

import hashlib
import platform
import shutil
from pathlib import Path


def make_unless_there(guest, programs):
    """Puts `locald` and `locald-shim` of the directory `programs` into `guest`/MACHINE with their sums."""
    place = Path(guest) / platform.machine()
    if (place / "sums").exists():
        return
    place.mkdir(parents=True, exist_ok=True)
    lines = []
    for name in ("locald", "locald-shim"):
        shutil.copy(Path(programs) / name, place / name)
        content = (place / name).read_bytes()
        lines.append(f"{hashlib.sha256(content).hexdigest()} {len(content)} {name}\n")
    (place / "sums").write_text("".join(lines))
