"""The user's own architecture, in each of four forms: trained, resumed, and evaluated here and in lm-eval."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from dataset_builders import InputError
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.state_size import state_bytes
from synthetic_training.data.symbol_tokenizer import decode, encode, symbol_tokenizer
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.models import modeling_lstm
from synthetic_training.models.saved import load_model, save_with_code
from synthetic_training.training.run import train
from tests.conftest import Run
from tests.gated_linear_attention import GatedLinearAttention, GatedLinearAttentionConfig
from tests.tiny_run import metrics_without_times, tiny, weights

SOURCE = Path(__file__).parent / "gated_linear_attention.py"
LSTM = Path(modeling_lstm.__file__)
REGISTERED = "tests.registered_gated_linear_attention"
SIZES = {"hidden_size": 16, "num_hidden_layers": 1}

WAYS: dict[str, dict[str, Any]] = {
    "class": {"model": "tests.gated_linear_attention:GatedLinearAttentionForCausalLM"},
    "bare_module": {"model": "tests.gated_linear_attention:GatedLinearAttention"},
    "registered": {"model": "hf:registered_gla", "imports": [REGISTERED]},
    "folder": {"model": "FOLDER", "trust_remote_code": True},
}


def folder_with_code(folder: Path) -> Path:
    """A model's folder without weights, as its author would publish it."""
    folder.mkdir()
    code = SOURCE.read_text().replace('"gated_linear_attention"', '"published_gla"')
    (folder / "modeling_gla.py").write_text(code)
    auto_map = {
        "AutoConfig": "modeling_gla.GatedLinearAttentionConfig",
        "AutoModelForCausalLM": "modeling_gla.GatedLinearAttentionForCausalLM",
    }
    content = {"model_type": "published_gla", "hidden_size": 16, "num_hidden_layers": 1, "auto_map": auto_map}
    (folder / "config.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module", params=WAYS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The settings of a run, and its folder."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = dict(WAYS[request.param])
    if settings["model"] == "FOLDER":
        settings["model"] = str(folder_with_code(folder / "published"))
    config = tiny(**settings, model_args=SIZES, steps=12, eval_every=6, min_length=3)
    train(config, folder / "run")
    return config, folder / "run"


def test_it_trains_and_resumes(trained: Any, tmp_path: Path) -> None:
    config, run = trained
    lines = metrics_without_times(run)
    losses = [line["loss"] for line in lines if line["kind"] == "train"]
    assert losses[-1] < losses[0]
    again = tmp_path / "again"
    shutil.copytree(run, again)
    shutil.rmtree(again / "model")
    train(config, again, resume=True)
    assert weights(again) == weights(run)
    assert metrics_without_times(again) == lines


def test_it_is_evaluated_where_its_code_is_trusted(trained: Any) -> None:
    config, run = trained
    asked = EvaluateConfig(run, lengths=(3,), num_examples=8)
    if config.imports:  # the type is known in this process: nothing of the folder is run
        assert evaluate(replace(asked, imports=config.imports))["results"][0]["num_examples"] == 8
    else:
        with pytest.raises(
            InputError, match=r"contains its own code .*\.py.*; inspect it, then pass --trust"
        ):
            evaluate(asked)
    forced, generated = (
        evaluate(replace(asked, trust_remote_code=True, generate=generate))["results"][0]
        for generate in (False, True)
    )
    assert generated["string_accuracy"] == forced["string_accuracy"]


PROMPTS = ("$a|", "$ccccbb|", "$abcabcabcabc|", "$zz|", "$bca|", "$qwertyu|", "$b|", "$abab|", "$ca|")


def answers(folder: Path, batch_size: int) -> list[str]:
    lm = HFLM(pretrained=str(folder), trust_remote_code=True, device="cpu", batch_size=batch_size)
    options = {"until": [".\n"], "max_gen_toks": 10, "do_sample": False}
    asked = [Instance("generate_until", {}, (prompt, options), i) for i, prompt in enumerate(PROMPTS)]
    return lm.generate_until(asked, disable_tqdm=True)


def test_lm_eval_generates_the_same_in_any_batch(trained: Any, tmp_path: Path) -> None:
    _, run = trained
    model = load_model(run / "model", trust_remote_code=True)
    with torch.no_grad():
        for parameter in model.parameters():  # no two answers nearly tie
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    folder = tmp_path / "model"
    save_with_code(model, folder)
    symbol_tokenizer(64).save_pretrained(folder)
    one = answers(folder, 1)
    assert one == answers(folder, 8)
    assert len(set(one)) > 1
    # one prompt at a time, without transformers' generation
    for prompt, answer in zip(PROMPTS, one, strict=True):
        ids = encode(prompt)
        with torch.no_grad():
            for _ in range(10):
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        assert answer == decode(ids[-10:]).split(".")[0].replace("*", "")


SLOW = [pytest.param(way, marks=pytest.mark.slow) for way in WAYS if way != "bare_module"]


@pytest.mark.parametrize("trained", ["bare_module", *SLOW], indirect=True)
def test_the_command_of_the_docs(trained: Any, run_forked: Run, tmp_path: Path) -> None:
    """``lm_eval`` in a process that has not imported the model's class, in another folder."""
    out = trained[1]
    arguments = f"pretrained={out / 'model'},trust_remote_code=True"
    done = run_forked(
        "-m", "lm_eval", "--model", "hf", "--model_args", arguments, "--device", "cpu", "--batch_size", "8",
        "--include_path", TASKS_FOLDER, "--tasks", "string_copy_20,string_copy_20_forced", "--limit", "4",
        "--metadata", '{"spelling": "symbols"}', "--output_path", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads(next((tmp_path / "out").rglob("results*.json")).read_text())["results"]
    assert set(results) == {"string_copy_20", "string_copy_20_forced"}


def test_a_run_is_not_resumed_with_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the class's file nor a file that it imports may change; other files may."""
    package, out = tmp_path / "edited_models", tmp_path / "run"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "other.py").touch()
    model, width = package / "model.py", package / "width.py"
    width.write_text("WIDTH = 8\n")
    model.write_text(
        "from torch import nn\n"
        "from .width import WIDTH\n"
        "class Letters(nn.Sequential):\n"
        "    def __init__(self, vocab_size):\n"
        "        super().__init__(nn.Embedding(vocab_size, WIDTH), nn.Linear(WIDTH, vocab_size))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = tiny(model="edited_models.model:Letters", model_args={}, steps=2, warmup_steps=0)
    train(config, out)
    assert set(json.loads((out / "run.json").read_text())["code"]) == {
        "edited_models/model.py",
        "edited_models/width.py",
    }
    shutil.rmtree(out / "model")
    for file in (model, width):
        text = file.read_text()
        file.write_text(text + "# edited\n")
        with pytest.raises(InputError, match=f"code has changed since the run in .* began: .*/{file.name}; "):
            train(config, out, resume=True)
        file.write_text(text)
    (package / "other.py").write_text("EDITED = True\n")
    train(config, out, resume=True)


def test_a_copy_of_the_lstm_is_a_model_with_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/your_architecture.md recommends it as a start."""
    text = LSTM.read_text().replace('model_type = "lstm_lm"', 'model_type = "my_recurrent_model"')
    (tmp_path / "my_recurrent_model.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2}
    config = tiny(model="my_recurrent_model:LstmForCausalLM", model_args=sizes, steps=2, warmup_steps=0)
    train(config, tmp_path / "run")
    lm = HFLM(pretrained=str(tmp_path / "run" / "model"), trust_remote_code=True, device="cpu")
    assert type(lm.model).__module__.endswith("my_recurrent_model")
    assert state_bytes(lm, "$abc|") == 4 * 2 * 2 * 16  # hidden and cell values of two layers, in float32


class CannotGenerate(PreTrainedModel):
    """A model that cannot generate."""

    config_class = GatedLinearAttentionConfig

    def __init__(self, config: GatedLinearAttentionConfig) -> None:
        super().__init__(config)
        self.model = GatedLinearAttention(config.vocab_size, 16, 1)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, use_cache=None):
        return CausalLMOutput(logits=self.model(input_ids, attention_mask))


class TakesIdsAlone(CannotGenerate):
    def forward(self, input_ids):
        return super().forward(input_ids)


def test_a_model_that_cannot_generate_is_trained_and_scored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tiny(model=f"{__name__}:CannotGenerate", model_args={}, steps=2, warmup_steps=0), tmp_path / "run")
    assert "CannotGenerate does not inherit from transformers' GenerationMixin" in caplog.text
    asked = EvaluateConfig(tmp_path / "run", lengths=(3,), num_examples=4, trust_remote_code=True)
    assert evaluate(asked)["results"][0]["num_examples"] == 4
    with pytest.raises(InputError, match="cannot generate, because .*; evaluate it without --generate"):
        evaluate(replace(asked, generate=True))


def test_a_model_that_cannot_be_evaluated_is_refused_before_training(tmp_path: Path) -> None:
    sentence = "forward method of .*TakesIdsAlone must take the arguments attention_mask, use_cache"
    with pytest.raises(InputError, match=sentence):
        train(tiny(model=f"{__name__}:TakesIdsAlone", model_args={}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
