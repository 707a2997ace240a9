"""A worker of bin/finetune --launch: bin/finetune, which stops, as by SIGTERM, when its supervisor is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

# For saving, if another worker has not ended first: nobody else would end it.
_LONGEST_SECONDS = 120.0


def stop_when_alone(longest: float = _LONGEST_SECONDS) -> None:
    """Waits until standard input, whose other end is the supervisor's, comes to its end; then ends this process."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(longest)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=stop_when_alone, daemon=True).start()
    try:
        from slimft.cli.finetune import main
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(main(["finetune", *sys.argv[1:]]))
