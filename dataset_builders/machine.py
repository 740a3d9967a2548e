"""Names and memory of the hardware that a computation runs on."""

import os
import platform
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_CPU_INFO = Path("/proc/cpuinfo")
_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def system_memory() -> int | None:
    """Memory of this machine in bytes, or the limit of the container if smaller; None if unknown."""
    if "SC_PHYS_PAGES" not in os.sysconf_names:  # not on every system
        return None
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in map(Path, _CONTAINER_LIMITS):
        with suppress(OSError, ValueError):  # no such file, or "max"
            sizes.append(int(file.read_text()))
    return min(sizes)


def gibibytes(size: int) -> str:
    """A number of bytes as text for messages, e.g. ``1,788 GiB``."""
    return f"{size / 2**30:,.0f} GiB" if size >= 2**30 else f"{size / 2**30:.2g} GiB"


def machine_name(devices: "Iterable[torch.device]") -> str:
    """Names of torch devices, e.g. ``2 x NVIDIA H100 80GB HBM3``, or the processor with torch's threads."""
    counts = Counter(_device_name(device) for device in devices)
    return ", ".join(name if n == 1 else f"{n} x {name}" for name, n in counts.items())


def this_machine() -> str:
    """The name of the GPU, if there is one, or of the processor."""
    import torch

    return machine_name([torch.device("cuda" if torch.cuda.is_available() else "cpu")])


def _device_name(device: "torch.device") -> str:
    import torch

    if device.type != "cpu":
        get_name = getattr(getattr(torch, device.type), "get_device_name", None)
        return str(get_name(device)) if get_name else device.type
    threads = torch.get_num_threads()
    return f"{processor_name()} ({threads} thread{'s' * (threads > 1)})"


def processor_name() -> str:
    """The model name of the processor, if the system reports it."""
    text = _CPU_INFO.read_text(encoding="utf-8", errors="replace") if _CPU_INFO.is_file() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine() or "unknown processor"
