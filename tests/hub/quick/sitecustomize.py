"""Make a test's subprocess retry at once: huggingface_hub waits up to 23 s between its six attempts."""

import time
from typing import SupportsIndex

_sleep = time.sleep


def quick_sleep(seconds: float | SupportsIndex) -> None:
    _sleep(min(float(seconds), 0.02))


time.sleep = quick_sleep
