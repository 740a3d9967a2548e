"""Publish results: a leaderboard page, and scores in a model's repository on the Hub."""
