"""The Python blocks of the page about probes run, with fewer documents."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import transformers
from torch import Tensor, nn

from lm_eval_tasks.probe import probe_recall
from tests.document_commands import blocks
from tests.import_graph import ROOT
from tests.models import byte_tokenizer
from tests.ngram_model import NgramConfig, NgramModel
from tests.test_recall_probe_trainer import Texts, a_trainer

FEWER = (
    ("every=500)", "every=500, num_docs=2)"),
    ('"string_copy_50"])\nfor', '"string_copy_50"], num_docs=2)\nfor'),
    ("(tokenizer, max_length", "(tokenizer, num_docs=2, max_length"),
)


class NanoGpt(nn.Module):
    """A causal model whose interface is that of nanoGPT's."""

    def __init__(self) -> None:
        super().__init__()
        self.model = NgramModel(NgramConfig())

    def forward(self, ids: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        logits = self.model(ids).logits
        return (logits[:, [-1]], None) if targets is None else (logits, logits.mean())


def test_python_blocks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = [one.text for one in blocks(ROOT / "lm_eval_tasks" / "PROBE.md") if one.language == "python"]
    for old, new in FEWER:
        assert sum(block.count(old) for block in code) == 1
        code = [block.replace(old, new) for block in code]
    trainer_block, loop_block, function_block, lightning_block = code

    template = a_trainer(tmp_path / "run", max_steps=1, save_strategy="no")
    names: dict[str, Any] = {
        "Trainer": transformers.Trainer,
        "model": template.model,
        "arguments": template.args,
        "texts": Texts(),
        "tokenizer": byte_tokenizer(),
    }
    exec(trainer_block, names)
    history = names["trainer"].state.log_history
    assert [one["step"] for one in history if "eval_recall/seconds" in one] == [0, 1]

    names |= {"model": NgramModel(NgramConfig()), "steps": 1}
    exec(loop_block, names)
    expected = probe_recall(names["model"], names["tokenizer"], num_docs=2, max_length=1024)
    assert capsys.readouterr().out.endswith(f"\n{expected['phone_book_20'].exact_match}\n")
    assert (tmp_path / "probes" / "results_step0.json").exists()

    exec(function_block, names)
    names["probe"].fit(NanoGpt())
    assert names["probe"](NanoGpt()) == expected and "phone_book_40" not in expected

    names["lightning"] = SimpleNamespace(Callback=object)  # stands in for the package
    exec(lightning_block, names)
    logged: list[tuple[dict[str, float], int]] = []
    trainer = SimpleNamespace(
        accumulate_grad_batches=2,
        precision_plugin=SimpleNamespace(forward_context=nullcontext),
        logger=SimpleNamespace(log_metrics=lambda metrics, step: logged.append((metrics, step))),
    )
    for batch in range(6):
        trainer.global_step = batch // 2 * 250
        names["Recall"]().on_train_batch_start(trainer, SimpleNamespace(model=NanoGpt()), None, batch)
    assert [step for _, step in logged] == [0, 500]
    found = expected["phone_book_20"].exact_match
    assert found > 0 and [metrics["recall/phone_book_20"] for metrics, _ in logged] == [found] * 2
