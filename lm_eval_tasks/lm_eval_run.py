"""What a task must know of lm-eval's run, and lm-eval does not hand to it.

lm-eval merges ``--model_args`` into ``--metadata`` before a task sees either, and never shows a task the
model. Without them a misspelt metadata key passes in silence, and so does a prompt that the model's
window cuts. Both stand as local variables in the functions of ``lm_eval.evaluator`` that call the
task, for every kind of model and from the command line as from Python; this module reads them there,
and nothing else in the project does.
"""

import sys
from collections.abc import Mapping
from typing import Any

_EVALUATOR = "lm_eval.evaluator"


def _caller_local(function: str, variable: str) -> Any:
    """The variable's value in the nearest call of ``function`` that led here; None if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == function and frame.f_globals.get("__name__") == _EVALUATOR:
            return frame.f_locals.get(variable)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def model_arguments() -> Mapping[str, Any]:
    """The run's ``--model_args``; empty where the model was built by the caller."""
    arguments = _caller_local("simple_evaluate", "model_args")
    if isinstance(arguments, str):
        from lm_eval.utils import simple_parse_args_string

        return simple_parse_args_string(arguments)
    return arguments if isinstance(arguments, Mapping) else {}


def running_model() -> Any:
    """The ``lm_eval.api.model.LM`` that the requests go to, without its cache; None outside a run."""
    model = _caller_local("evaluate", "lm")
    return getattr(model, "lm", model)
