"""Local sources of texts."""

import json
from pathlib import Path

from dataset_builders.sources.texts import MAX_CHARACTERS, read_texts


def test_every_kind_of_source_gives_the_same_texts(tmp_path: Path) -> None:
    from datasets import Dataset

    texts = ["first text", "second text\nwith a line", "third"]
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    Dataset.from_dict({"text": texts}).to_parquet(tmp_path / "table.parquet")
    folder = tmp_path / "folder"
    folder.mkdir()
    for index, text in enumerate(texts):
        (folder / f"{index}.txt").write_text(text)
    (folder / "notes.csv").write_text("not a text")
    for source in ("lines.jsonl", "table.parquet", "folder"):
        assert read_texts(str(tmp_path / source)).documents == tuple(texts)
    (tmp_path / "one.txt").write_text(texts[1])
    assert read_texts(str(tmp_path / "one.txt")).documents == (texts[1],)


def test_a_few_megabytes_are_read_at_most(tmp_path: Path) -> None:
    lines = (json.dumps({"text": "x" * 100_000}) + "\n" for _ in range(60))
    (tmp_path / "long.jsonl").write_text("".join(lines))
    assert sum(map(len, read_texts(str(tmp_path / "long.jsonl")).documents)) == MAX_CHARACTERS
