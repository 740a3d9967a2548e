"""The benchmark's tasks for lm-evaluation-harness; ``python -m lm_eval_tasks`` lists its commands."""

from pathlib import Path

TASKS_FOLDER = Path(__file__).parent
"""The folder of the tasks, for lm-eval's ``--include_path``."""
