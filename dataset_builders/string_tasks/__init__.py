"""String tasks: copy, look up or reverse random strings (arXiv 2402.01032, section 3).

One example of each task, as the models of this project read it, with the answer after the gap::

    copy              $qwerty|  qwerty.
    reverse           $qwerty|  ytrewq.
    prefix_ngram      $we|qwertyuiop|  rtyuiop.   the answer follows the key ``we``, which occurs once
    suffix_ngram      $qwertyuiop|we  rtyuiop.    the same, with the key after the string
    duplicate_ngram   $qwertyqw|  qwertyqw.       copy a string in which one n-gram occurs twice

Multi-query associative recall, whose examples do not contain their answers, is in ``dataset_builders.mqar``.

Each task is one class in one file; see ``task``. The same code draws the documents of the benchmark (with
NumPy, see ``documents``) and the batches of a training run (with PyTorch, in ``synthetic_training``).
"""

from dataset_builders.string_tasks.copy import Copy
from dataset_builders.string_tasks.duplicate_ngram import DuplicateNgram
from dataset_builders.string_tasks.ngram_lookup import PrefixNgram, SuffixNgram
from dataset_builders.string_tasks.registry import (
    is_string_task,
    own_string_tasks,
    register_string_task,
    string_task,
    string_task_class,
    string_task_names,
    task_settings,
)
from dataset_builders.string_tasks.reverse import Reverse
from dataset_builders.string_tasks.task import Array, Examples, Part, RandomIntegers, StringTask

__all__ = [
    "Array",
    "Copy",
    "DuplicateNgram",
    "Examples",
    "Part",
    "PrefixNgram",
    "RandomIntegers",
    "Reverse",
    "StringTask",
    "SuffixNgram",
    "is_string_task",
    "own_string_tasks",
    "register_string_task",
    "string_task",
    "string_task_class",
    "string_task_names",
    "task_settings",
]
