"""The plan of ``paper``: runs, commands and expected hours."""

import json
import shlex
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from lm_eval._cli.harness import HarnessCLI
from lm_eval.config.evaluate_config import EvaluatorConfig

from dataset_builders import InputError, phone_book
from dataset_builders.sources.tokenizer import load_tokenizer
from lm_eval_tasks.catalog import task_files
from lm_eval_tasks.paper.estimate import H100, Machine, evaluation_seconds, hours, new_tokens, prompt_tokens
from lm_eval_tasks.paper.experiments import experiments, read_metadata, select_experiments
from lm_eval_tasks.paper.model_files import folder_checksum
from lm_eval_tasks.paper.model_list import Model, read_model_list
from lm_eval_tasks.paper.plan import Files, Run, command_line, plan
from tests.import_graph import ROOT
from tests.material import neox_tokenizer

MODELS = {model.name: model for model in read_model_list("paper").models}


def run_of(name: str = "pythia-410m", experiment: str = "phone_book", **changes: Any) -> Run:
    settings = {"metadata": {}, "limit": None, **changes}
    return Run(MODELS[name], experiments()[experiment], **settings)


def parsed(command: str) -> EvaluatorConfig:
    """A command, parsed by lm-eval itself."""
    words = shlex.split(command)
    assert words[0] == "lm_eval"
    arguments: Namespace = HarnessCLI()._parser.parse_args(["run", *words[1:]])
    return EvaluatorConfig.from_cli(arguments)


def test_the_experiments_are_the_groups_of_lm_eval() -> None:
    groups = {entry.name: entry.members for entry in task_files() if entry.members}
    for name, experiment in experiments().items():
        assert experiment.tasks == groups[name]
        assert list(experiment.lengths) == sorted(set(experiment.lengths))
        assert "Deviations" in (ROOT / "lm_eval_tasks" / experiment.deviations).read_text()
    assert [*experiments()] == ["phone_book", "c4_copy", "c4_copy_random", "squad_v2_retrieval"]


def test_lm_eval_reads_the_commands_as_they_are_meant(tmp_path: Path) -> None:
    files = Files(tmp_path / "a folder, with 'signs'")
    for run in plan(list(MODELS.values()), list(experiments().values()), {"num_docs": 96}, 32):
        config = parsed(command_line(run, "cuda:0", files))
        model = run.model
        assert (config.model, config.batch_size, config.device, config.limit) == (
            "hf", str(model.batch_size), "cuda:0", 32.0,
        )  # fmt: skip
        assert config.model_args == {
            "pretrained": model.pretrained,
            "revision": model.revision,
            "dtype": model.dtype,
            "max_length": 2048,
        }
        assert config.tasks == [run.experiment.name] and config.log_samples
        squad = run.experiment.name == "squad_v2_retrieval"
        assert config.metadata == {**config.model_args, **({} if squad else {"num_docs": 96})}
        assert config.output_path == str(files.results(run))


def test_mamba_ssm_is_given_what_it_takes() -> None:
    model = next(m for m in read_model_list("paper_mamba_ssm").models if m.backend == "mamba_ssm")
    run = Run(model, experiments()["phone_book"], {}, None)
    config = parsed(command_line(run, "cuda:0", Files(Path("out"))))
    assert config.model == "mamba_ssm" and config.batch_size == "1"
    assert config.model_args == {
        "pretrained": "state-spaces/mamba-370m",
        "dtype": "float16",
        "max_length": 2048,
        "tokenizer": "EleutherAI/gpt-neox-20b",
    }


def test_a_folder_is_named_after_what_its_results_depend_on() -> None:
    first = run_of()
    same = [
        Run(first.model.model_copy(update={"batch_size": 4}), first.experiment, {}, None),
        Run(first.model.model_copy(update={"released": None, "parameters": 7}), first.experiment, {}, None),
    ]
    others = [
        run_of("mamba-370m"),
        run_of(experiment="c4_copy"),
        run_of(limit=4),
        run_of(metadata={"seed": 1}),
        Run(first.model.model_copy(update={"dtype": "bfloat16"}), first.experiment, {}, None),
        Run(first.model.model_copy(update={"window": 1024}), first.experiment, {}, None),
        Run(first.model.model_copy(update={"revision": "main"}), first.experiment, {}, None),
    ]
    assert {run.name for run in same} == {first.name}
    assert len({run.name for run in [first, *others]}) == 1 + len(others)


def test_a_model_that_was_trained_again_in_its_folder_is_run_again(tmp_path: Path) -> None:
    """Complete runs, and the cached answers of interrupted ones, belong to the earlier weights."""
    folder, tokenizer = tmp_path / "model", tmp_path / "tokenizer"
    weights, vocabulary = folder / "model.safetensors", tokenizer / "tokenizer.json"
    folder.mkdir()
    tokenizer.mkdir()
    weights.write_bytes(bytes(300_000))
    vocabulary.write_text("{}")

    def name() -> str:
        folder_checksum.cache_clear()
        changes = {"pretrained": str(folder), "tokenizer": str(tokenizer)}
        return Run(MODELS["mamba-370m"].model_copy(update=changes), experiments()["c4_copy"], {}, None).name

    first = name()
    (folder / "README.md").write_text("a model")
    (folder / "metrics.jsonl").write_text("{}")
    assert name() == first
    names = [first]
    for content in (b"1" + bytes(299_999), bytes(299_999) + b"1", bytes(300_001)):
        weights.write_bytes(content)
        names.append(name())
    (folder / "config.json").write_text("{}")
    names.append(name())
    vocabulary.write_text("[]")
    names.append(name())
    assert len(set(names)) == len(names)
    assert folder_checksum(str(folder)) == folder_checksum(str(folder.rename(tmp_path / "elsewhere")))
    assert folder_checksum("EleutherAI/pythia-410m") is None


def test_metadata_goes_to_the_experiments_that_take_it() -> None:
    given = {
        "source": "texts",
        "tokenizer": "t.json",
        "squad_source": "s.json",
        "num_docs": 9,
        "timing": True,
    }
    assert read_metadata(json.dumps(given)) == given
    taken = {one.name: sorted(one.metadata(given)) for one in select_experiments(())}
    assert taken == {
        "phone_book": ["num_docs", "timing"],
        "c4_copy": ["num_docs", "source", "timing", "tokenizer"],
        "c4_copy_random": ["num_docs", "source", "timing", "tokenizer"],
        "squad_v2_retrieval": ["squad_source", "timing", "tokenizer"],
    }
    for key in ("entries", "tokens", "order", "min_tokens", "squad_sorce"):
        with pytest.raises(InputError, match=f"no experiment takes the metadata key '{key}'; the keys are"):
            read_metadata(json.dumps({key: 1}))
    with pytest.raises(InputError, match="must be a JSON object"):
        read_metadata("num_docs=2")
    with pytest.raises(InputError, match="no experiment 'phonebook'; .*; did you mean 'phone_book'"):
        select_experiments(["phonebook"])


# ---- expected hours


def test_the_estimate_is_near_what_was_measured() -> None:
    """phone_book with random weights of Pythia-410M's shape on an H200, where every answer has 50 tokens."""
    h200 = Machine("H200", H100.flops, 4.8e12)
    file = ROOT / "lm_eval_tasks" / "speed" / "results" / "phone_book_speed_h200.json"
    for entries, speeds in json.loads(file.read_text())["examples_per_second"].items():
        prompt = prompt_tokens(experiments()["phone_book"], int(entries))
        for method, speed in speeds.items():
            if method.startswith("forced"):
                continue
            alone = method == "one at a time"
            changes = {"dtype": "float32" if alone else "bfloat16"}
            changes |= {"batch_size": 1 if alone else int(method.split()[-1])}
            model = MODELS["pythia-410m"].model_copy(update=changes)
            documents = 16 if alone else 2048
            ratio = evaluation_seconds(model, documents, prompt, 50, h200) * speed / documents
            assert 0.5 < ratio < 2, (entries, method, ratio)


def test_the_tokens_of_the_estimate_are_those_of_the_documents() -> None:
    tokenizer = load_tokenizer(str(neox_tokenizer()))
    books, copies = experiments()["phone_book"], experiments()["c4_copy"]
    for entries in books.lengths[::5]:
        counts = [len(tokenizer.encode(row["prompt"])) for row in phone_book.rows(entries, 60)]
        assert prompt_tokens(books, entries) == pytest.approx(sum(counts) / 60, rel=0.005)
    assert prompt_tokens(copies, 500) == 1010, "the text twice, and a word"
    assert new_tokens(books, 20) == 50
    assert new_tokens(experiments()["squad_v2_retrieval"], 50) == 200
    assert new_tokens(copies, 500) == 555


def test_hours_grow_with_what_there_is_to_do() -> None:
    small = run_of("mamba-370m", "c4_copy")
    one_by_one = Run(
        Model.model_validate({**small.model.model_dump(), "batch_size": 1}), small.experiment, {}, None
    )
    assert hours(run_of("mamba-370m", "c4_copy", limit=10)) < hours(small) < hours(one_by_one)
    assert hours(small) < hours(run_of("mamba-2.8b", "c4_copy"))
    assert hours(run_of("mamba-370m", "c4_copy", metadata={"num_docs": 5000})) > 2 * hours(small)
