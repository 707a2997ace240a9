"""The process of a step: bin/finetune, which stops, as by SIGTERM, when the process that started it is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from slimft.cli.finetune import main

_POLL_SECONDS = 1.0


def _stop_when_alone(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_when_alone, args=[os.getppid()], daemon=True).start()
    sys.exit(main(["finetune", *sys.argv[1:]]))
