"""Makes the leaderboard's page from the result files in a folder."""

from pathlib import Path

from lm_eval_tasks.publish.eligibility import leaderboard_scores
from lm_eval_tasks.publish.leaderboard import Page, page
from lm_eval_tasks.results.rows import read_scores
from lm_eval_tasks.results.score import Score


def page_of(folder: Path) -> Page:
    return page(*leaderboard_scores(read_scores([folder])))


def scores_of(folder: Path) -> list[Score]:
    return leaderboard_scores(read_scores([folder]))[0]
