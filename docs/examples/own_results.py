"""From your own results to every number, table and plot of the report, step by step in Python.

    lm_eval ... --tasks phone_book,string_copy --output_path results --log_samples
    python docs/examples/own_results.py results --out plots

`python -m lm_eval_tasks report results --out plots` prints and draws the same. Here, every part is separate,
so that you can take what you need.
"""

from pathlib import Path
from typing import Annotated

import tyro

from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_folder
from lm_eval_tasks.results import read_reports


def main(results: Annotated[tuple[Path, ...], tyro.conf.Positional], out: Path = Path("plots")) -> None:
    """Print every table and draw every plot of your results.

    Args:
        results: Result files of lm_eval, or folders that contain them.
        out: Folder for the plots.
    """
    check_folder(out)  # before anything is printed
    for report in read_reports(results):
        print(f"\n## {report.benchmark}")

        # accuracy by length, by bytes of state, and by seconds if a run measured them
        for score in report.scores:
            print(score.label, score.length, score.main_metric, score.main_value, score.state_bytes)
        print(report.score_table())
        report.draw_by_length(out)
        report.draw_by_state(out)
        print(report.timing_table())
        report.draw_by_time(out)

        # how much the model remembers
        for label, capacity in report.capacities.items():
            print(label, "effective length:", capacity.length)
            if capacity.most_bits is not None:
                length, bits = capacity.most_bits
                print(label, "recalls at least", round(bits), "bits at", length, report.unit)
            if capacity.bits_per_bit is not None:
                print(label, "recalls at least", capacity.bits_per_bit, "bits per bit of state")
        print(report.capacity_table())

        # where it fails: position in the book, or the first error of a copy
        print(report.position_table())
        report.draw_by_position(out)
        report.draw_by_tenth(out)
        print(report.first_error_table())
        report.draw_first_errors(out)

        # how it fails: wrong answers by class
        for errors in report.errors:
            occurring = {name: count for name, count in errors.classes.items() if count}
            print(errors.label, errors.length, occurring)
        print(report.error_table())
        report.draw_errors(out)


if __name__ == "__main__":
    with command_errors():  # invalid input is one sentence, without a traceback
        cli(main)
