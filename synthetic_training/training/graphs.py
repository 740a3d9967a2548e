"""Records work on the device once, and replays it as one CUDA graph.

A step with a small batch consists of a thousand kernels of a few microseconds each; launching them one by one
from Python takes longer than running them.
"""

from collections.abc import Callable

import torch


class Replayed:
    """Runs a function on tensors with fixed addresses, and replays it from the fourth call on.

    The first calls run the function eagerly on a separate stream. During these calls, kernels are compiled
    and tuned, and lazily created state, such as that of an optimizer or communicator, is created. The
    function must not wait for the device, and must have no effects outside of it.

    Args:
        function: function without arguments that reads and writes tensors on the CUDA device in place.
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
            finally:  # even after an error, later work must wait for the work on this stream
                torch.cuda.current_stream().wait_stream(self._stream)
            self._calls += 1
        else:
            self._graph = self._recorded()
            self._graph.replay()

    def _recorded(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        errors: list[Exception] = []
        try:
            # in the default mode, calls of NCCL's watchdog thread to the device would abort the capture
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                try:
                    self._function()
                except Exception as error:
                    errors.append(error)
                    raise
        except Exception as error:  # noqa: BLE001  raised below
            # after an error, ending the recording may fail too, with a message that does not name it
            errors.append(error)
            _renew_generator()
        if errors:
            try:
                raise errors[0]
            finally:
                errors.clear()  # the error refers to this frame, which would keep the recording's memory
        return graph

    @property
    def records_next(self) -> bool:
        """Whether the next call records: all eager calls are done, and nothing is recorded yet."""
        return self._graph is None and self._calls == self._EAGER_CALLS

    def release(self) -> None:
        """Discard the recorded work; the next call records it again.

        A communicator whose operations are part of a graph can only be closed after the graph is deleted,
        because closing it waits for the graph.
        """
        if self._graph is not None:
            self._graph.reset()
            self._graph = None


def _renew_generator() -> None:
    """Let the device draw random numbers again after a failed recording, from where it was.

    If a recording fails, PyTorch leaves the generator in the recording's mode, in which each later draw, such
    as that of dropout, raises an error.
    """
    default = torch.cuda.default_generators[torch.cuda.current_device()]
    renewed = torch.Generator(default.device)
    renewed.set_state(default.get_state())
    default.graphsafe_set_state(renewed)
