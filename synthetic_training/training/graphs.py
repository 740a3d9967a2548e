"""Work on the device that is recorded once and replayed as one CUDA graph.

A step with a small batch consists of a thousand kernels of a few microseconds each; launching them one by one
from Python takes longer than running them.
"""

from collections.abc import Callable

import torch


class Replayed:
    """A function without arguments, on tensors with fixed addresses, that is replayed from its fourth call
    on.

    The first calls run it eagerly on a separate stream, in which kernels are compiled and tuned, and state is
    created that is only created on first use, such as that of an optimizer or communicator. The function must
    not wait for the device, and must not create objects outside of it that a replay would have to create
    again.

    Args:
        function: function that reads and writes tensors of the CUDA device in place.
    """

    _EAGER_CALLS = 3

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream = torch.cuda.Stream()
        self._calls = 0

    def __call__(self) -> None:
        """Run the function once."""
        if self._graph is not None:
            self._graph.replay()
        elif self._calls < self._EAGER_CALLS:
            self._stream.wait_stream(torch.cuda.current_stream())
            try:
                with torch.cuda.stream(self._stream):
                    self._function()
            finally:  # after an error, too, what follows must not overtake what was launched
                torch.cuda.current_stream().wait_stream(self._stream)
            self._calls += 1
        else:
            graph = torch.cuda.CUDAGraph()
            # by default, calls of NCCL's watchdog thread to the device would end the capture
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._function()
            self._graph = graph
            self._graph.replay()

    @property
    def was_run(self) -> bool:
        """Whether the function has run eagerly as often as it should, so that the next call records it."""
        return self._graph is None and self._calls == self._EAGER_CALLS

    def release(self) -> None:
        """Discard the recorded work; the next call records it again.

        A communicator whose operations are part of a graph can only be closed after the graph is deleted,
        because closing it waits for the graph.
        """
        if self._graph is not None:
            self._graph.reset()
            self._graph = None
