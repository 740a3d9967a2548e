"""``lm_eval`` in a process that ends with the process that started it, when its standard input is closed.

python -m lm_eval_tasks.paper.job ARGUMENTS OF lm_eval
"""

import sys

from dataset_builders.workers import end_with_parent


def main() -> None:
    end_with_parent()
    sys.argv[0] = "lm_eval"
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
