"""Stream a recording to the mock server and show what comes back: what `make demo` runs.

Both ends are the command line's own: `ihproto mock` in a process of its own, `ihproto stream` in this one.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

RECORDING = Path(__file__).parent / "recording"
IHPROTO = [sys.executable, "-m", "ihproto"]
PACE = "3x"


def main() -> int:
    """Run both ends, and return the exit code of the client."""
    pieces = sorted(RECORDING.glob("*.bin"))
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "mock.log"
        with log.open("w") as stderr:
            mock = subprocess.Popen([*IHPROTO, "mock", "--port", "0"], stdout=subprocess.PIPE, stderr=stderr, text=True)
        try:
            assert mock.stdout is not None
            url = mock.stdout.readline().strip()
            if not url:
                print(log.read_text(), file=sys.stderr)
                return 1
            print(f"mock server at {url}; streaming {len(pieces)} recorded pieces at {PACE} speed", flush=True)
            command = [*IHPROTO, "stream", url, *map(str, pieces), "--key", "ih_live_mock", "--pace", PACE]
            return subprocess.run(command, check=False).returncode
        finally:
            mock.terminate()
            mock.wait()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
