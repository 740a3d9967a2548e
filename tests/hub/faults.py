"""Faults between a client and the Hub, at one request or from one request on."""

import re
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal, get_args

Kind = Literal["refuse", "cut", "reset", "drop_after", "timeout", "500", "502", "503", "412", "429"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass
class Fault:
    """One planned fault.

    Attributes:
        kind: what happens. ``refuse``: the connection is closed before the request is read.
            ``cut``: the request is processed and the connection closed in the middle of the answer.
            ``reset``: the same, by a TCP reset. ``drop_after``: the
            request is processed and nothing answered, so that the client cannot know. ``timeout``: no
            answer for the Hub's ``hold`` seconds, and nothing processed. A number: this status (502 with
            a gateway's HTML page), and nothing processed.
        method, path: regular expressions that select requests, searched in the whole string.
        nth: the first selected request with the fault, from 1.
        always: whether all later requests have the fault too.
        struck: how often the fault has happened.
    """

    kind: Kind
    method: str
    path: str
    nth: int
    always: bool
    seen: int = 0
    struck: int = 0


@dataclass
class Faults:
    """The planned faults; thread-safe."""

    planned: list[Fault] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def add(self, fault: Fault) -> Fault:
        with self.lock:
            self.planned.append(fault)
        return fault

    def clear(self) -> None:
        with self.lock:
            self.planned.clear()

    def of(self, method: str, path: str) -> Kind | None:
        """Count a request, and return its fault, if any: of several, the one planned last."""
        struck: Fault | None = None
        with self.lock:
            for fault in self.planned:
                if not (re.fullmatch(fault.method, method) and re.search(fault.path, path)):
                    continue
                fault.seen += 1
                if fault.seen == fault.nth or (fault.always and fault.seen > fault.nth):
                    struck = fault
            if struck is not None:
                struck.struck += 1
        return struck.kind if struck else None
