"""Make retries immediate in a test's subprocess: huggingface_hub waits up to 23 s between six attempts."""

import time
from typing import SupportsIndex

_sleep = time.sleep


def quick_sleep(seconds: float | SupportsIndex) -> None:
    _sleep(min(float(seconds), 0.02))


time.sleep = quick_sleep
