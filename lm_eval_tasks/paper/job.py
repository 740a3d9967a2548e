"""``lm_eval`` in a process that ends with the process that started it, when its standard input is closed.

python -m lm_eval_tasks.paper.job ARGUMENTS OF lm_eval
"""

import os
import sys
import threading


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv[0] = "lm_eval"
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
