"""Timing of a model: measured during a run, stored in its results and shown in reports."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from dataset_builders import InputError, phone_book
from dataset_builders.machine import machine_name, processor_name
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.local_model import LocalModel, local_model
from lm_eval_tasks.results.plots import styles
from lm_eval_tasks.results.rows import read_scores, row_labels
from lm_eval_tasks.results.time_plots import draw_by_time
from lm_eval_tasks.results.timing_record import Timing
from lm_eval_tasks.results.timing_table import timing_table
from lm_eval_tasks.timing import NEW_TOKENS, REPETITIONS, WARM_UPS, batch_sizes, measure, time_model
from tests import mamba_ssm_stand_in
from tests.evaluation import evaluate
from tests.models import byte_tokenizer, tiny_model
from tests.result_files import result_file
from tests.scripted import Scripted, look_up

CPU = torch.device("cpu")


def hf(architecture: str, window: int = 512, **options: Any) -> HFLM:
    tokenizer = byte_tokenizer(model_max_length=window)
    model = tiny_model(architecture)
    return HFLM(pretrained=model, tokenizer=tokenizer, device="cpu", max_length=window, **options)


class Slow(LocalModel):
    """A model that takes 3 s per prompt token and 0.5 s per new token, according to a fake clock.

    Its library prepares each generation for 100 s, the first run takes 1,000 s more, and the repetitions
    after the warm-ups take 1.5, 3, 1, 2 and 1.25 times as long.
    """

    FACTORS = (1, 1, 1.5, 3, 1, 2, 1.25)

    def __init__(self) -> None:
        super().__init__(SimpleNamespace(device=CPU))
        self.now, self.runs, self.module = 0.0, 0, torch.nn.Linear(1, 1)
        self.module.forward = self._forward

    def _forward(self, tokens: torch.Tensor) -> torch.Tensor:
        seconds = 0.5 if tokens.shape[1] == 1 else 3.0 * tokens.shape[1]
        self.now += seconds * self.FACTORS[self.runs - 1]
        return tokens

    def state_after(self, tokens: torch.Tensor) -> Any:
        raise NotImplementedError

    def generate(self, tokens: torch.Tensor, new_tokens: int) -> None:
        self.runs += 1
        self.now += 100 + (1000 if self.runs == 1 else 0)
        self.module(tokens)
        for _ in range(new_tokens - 1):
            self.module(tokens[:, :1])


def test_the_model_is_timed_and_nothing_else() -> None:
    model = Slow()
    timing = measure(model, torch.zeros(4, 7, dtype=torch.long), 10, clock=lambda: model.now)
    assert model.runs == WARM_UPS + REPETITIONS
    assert (timing.batch_size, timing.prompt_tokens, timing.new_tokens) == (4, 7, 10)
    assert (timing.prefill_seconds, timing.prefill_range) == (31.5, [21.0, 63.0])
    assert (timing.token_seconds, timing.token_range) == (0.75, [0.5, 1.5])
    assert timing.tokens_per_second == 4 / 0.75
    assert timing.machine == machine_name([CPU])
    assert not model.module._forward_pre_hooks and not model.module._forward_hooks


@pytest.mark.gpu
def test_work_that_a_gpu_has_queued_is_waited_for() -> None:
    """A fake device, on which launching a kernel takes no time and running it takes a known time."""

    class Queueing(Slow):
        def _forward(self, tokens: torch.Tensor) -> torch.Tensor:
            torch.cuda._sleep(20_000_000)
            return tokens

    model = Queueing()
    model.module.cuda()
    timing = measure(model, torch.zeros(1, 7, dtype=torch.long, device="cuda"), 10)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for event in (start, end):
        event.record()
        torch.cuda._sleep(20_000_000)
    torch.cuda.synchronize()
    seconds = start.elapsed_time(end) / 1000
    assert timing.prefill_seconds == pytest.approx(seconds, rel=0.1)
    assert timing.token_seconds == pytest.approx(seconds, rel=0.1)
    assert timing.machine == torch.cuda.get_device_name()


@pytest.mark.parametrize("architecture", ["gpt_neox", "mamba", "recurrent_gemma"])
def test_one_forward_pass_reads_the_prompts_and_one_each_further_token(architecture: str) -> None:
    model = local_model(hf(architecture))
    assert model is not None
    read: list[int] = []
    embedding: torch.nn.Module = model.module.get_input_embeddings()
    embedding.register_forward_pre_hook(lambda _, args: read.append(args[0].shape[1]))
    timing = measure(model, model.tensor([[5] * 20, [6] * 20]), 3)
    assert read == [20, 1, 1, 1] * (WARM_UPS + REPETITIONS)
    low, high = timing.token_range
    assert 0 < low <= timing.token_seconds <= high
    assert timing.tokens_per_second == 2 / timing.token_seconds


def test_models_of_the_mamba_ssm_package_are_timed_in_their_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    mamba_ssm_stand_in.install(monkeypatch)
    lm = hf("mamba")
    lm._model = mamba_ssm_stand_in.MambaLMHeadModel(lm.model)
    model = local_model(lm)
    assert model is not None and model.module is lm.model
    read: list[int] = []
    lm.model.register_forward_pre_hook(lambda _, args: read.append(args[0].shape[1]))
    timing = measure(model, model.tensor([[5] * 20, [6] * 20]), 3)
    assert read == [20, 1, 1, 1] * (WARM_UPS + REPETITIONS)
    assert timing.tokens_per_second == 2 / timing.token_seconds


def timed_run(lm: Any, *tasks: str, **metadata: Any) -> dict[str, Any]:
    """Task -> the timing in its results."""
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata=metadata)
    results = simple_evaluate(model=lm, tasks=list(tasks), task_manager=manager, bootstrap_iters=1)
    assert results is not None
    return {name: config["metadata"].get("timing") for name, config in results["configs"].items()}


def test_a_run_writes_it_into_its_results_unless_the_documents_do_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lm_eval_tasks.timing.NEW_TOKENS", 2)
    tasks = "phone_book_n", "phone_book_n_forced"
    found = timed_run(hf("gpt_neox"), *tasks, entries=[5, 30], num_docs=2, timing=[1, 3])
    assert found["phone_book_30"] is found["phone_book_30_forced"] is None
    assert found["phone_book_5"] == found["phone_book_5_forced"]
    one, three = map(Timing.model_validate, found["phone_book_5"])
    lengths = [len(row["prompt"]) for row in phone_book.rows(5, num_docs=2)]
    assert (one.batch_size, one.prompt_tokens) == (1, lengths[0])
    assert (three.batch_size, three.prompt_tokens) == (3, min(lengths))
    assert one.new_tokens == 2


def test_the_window_limits_the_new_tokens() -> None:
    """A forced task needs room only for its answer."""
    lm = hf("gpt_neox", window=30)
    found = [time_model(lm, ["a" * n], (1,), pytest.fail) for n in (24, 28, 29)]
    assert [[one.new_tokens for one in timings] for timings in found] == [[5], [1], []]
    assert NEW_TOKENS > 5


def test_the_first_process_measures_alone_while_the_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = hf("gpt_neox")
    waited: list[int] = []
    monkeypatch.setattr(lm, "barrier", lambda: waited.append(lm.rank), raising=False)
    lm._rank = 1
    assert time_model(lm, ["a b c"], (1,), pytest.fail) == []
    assert waited == [1, 1]


def test_prompts_are_cut_on_the_left_and_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[list[int]] = []
    monkeypatch.setattr("lm_eval_tasks.timing.measure", lambda _, rows, *__: timed.extend(rows.tolist()))
    lm = hf("gpt_neox")
    for prompts, batches in ((["abcde", "fgh"], (3, 1)), (["ab"], (1,))):
        assert time_model(lm, prompts, batches, pytest.fail) == []
    assert timed == [lm.tok_encode(text) for text in ("cde", "fgh", "cde", "abcde", "ab")]


def test_a_batch_that_does_not_fit_into_memory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: Any) -> Timing:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr("lm_eval_tasks.timing.measure", out_of_memory)
    warnings: list[str] = []
    assert time_model(hf("gpt_neox"), ["a b c"], (7,), warnings.append) == []
    assert len(warnings) == 1 and warnings[0].startswith("a batch of 7 prompts of 5 tokens does not fit")


@pytest.mark.parametrize(
    ("given", "of_the_run", "sizes"),
    [(None, 4, ()), (False, 4, ()), (True, 4, (4,)), (65_536, "auto", (65_536,)), ([1, 16, 1], 4, (1, 16))],
)
def test_batch_sizes(given: object, of_the_run: object, sizes: tuple[int, ...]) -> None:
    assert batch_sizes(given, of_the_run) == sizes


@pytest.mark.parametrize("given", [0, -1, 1.0, "yes", [], [1, True], [1, 1.0], {"batch": 1}, 65_537, [[1]]])
def test_other_batch_sizes_are_refused(given: object) -> None:
    with pytest.raises(InputError, match=r"timing must be true, a batch size from 1 to 65536, or a list"):
        batch_sizes(given, 1)
    with pytest.raises(
        InputError, match=r"--batch_size is 'auto'; pass it, as in --metadata '{\"timing\": 16}'"
    ):
        batch_sizes(True, "auto")


def test_models_that_cannot_be_seen_are_refused() -> None:
    with pytest.raises(InputError, match="phone_book_20: 'timing' needs a decoder that runs in this process"):
        evaluate(Scripted(look_up), "phone_book_20", timing=True, num_docs=1)
    with pytest.raises(InputError, match="unknown metadata key 'timings'; .*, timing; did you mean 'timing'"):
        evaluate(Scripted(look_up), "phone_book_20", timings=True)


def record(batch: int = 1, seconds: float = 0.01, machine: str = "GPU A", **changed: Any) -> dict[str, Any]:
    return {
        "batch_size": batch,
        "prompt_tokens": 1234,
        "new_tokens": 32,
        "repetitions": 5,
        "prefill_seconds": 10 * seconds,
        "prefill_range": [9 * seconds, 11 * seconds],
        "token_seconds": seconds,
        "token_range": [seconds, 2 * seconds],
        "tokens_per_second": batch / seconds,
        "machine": machine,
        **changed,
    }


def test_reports_set_accuracy_against_seconds(tmp_path: Path) -> None:
    accuracies = {"phone_book_20": 0.9, "phone_book_40": 0.5}
    for model, seconds in (("a", 0.01), ("b", 0.002)):
        timing = [record(batch, seconds * batch**0.5) for batch in (1, 64)]
        result_file(tmp_path, accuracies, model=model, metadata={"timing": timing})
    result_file(tmp_path, {"phone_book_20": 0.1}, model="c")
    scores = read_scores([tmp_path])
    assert row_labels(scores) == ["a", "b", "c"]  # seconds tell no rows apart
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in timing_table(scores).splitlines()]
    assert lines[0] == ["model", "batch", "measured", "20 entries", "40 entries"]
    assert lines[2:10] == [
        ["a", "1", "tokens of a prompt", *["1,234"] * 2],
        ["a", "1", "ms to read the prompts", *["100 [90, 110]"] * 2],
        ["a", "1", "ms per generated token", *["10 [10, 20]"] * 2],
        ["a", "1", "generated tokens per second", *["100"] * 2],
        ["a", "64", "tokens of a prompt", *["1,234"] * 2],
        ["a", "64", "ms to read the prompts", *["800 [720, 880]"] * 2],
        ["a", "64", "ms per generated token", *["80 [80, 160]"] * 2],
        ["a", "64", "generated tokens per second", *["800"] * 2],
    ]
    assert timing_table(scores).endswith("repetitions after a warm-up. On GPU A.")
    files = draw_by_time("phone_book", scores, styles(["a", "b", "c"]), tmp_path)
    assert [file.name for file in files] == ["phone_book_by_time.png", "phone_book_by_time.svg"]
    drawing = files[1].read_text()
    for text in ("batch of 1,", "batch of 64,", "on GPU A", "seconds per generated token"):
        assert text in drawing
    assert "<!-- a -->" in drawing and "<!-- c -->" not in drawing
    assert draw_by_time("phone_book", scores[-1:], styles(["c"]), tmp_path) == []
    assert timing_table(scores[-1:]) == ""


def test_machines_are_named_where_they_are_several(tmp_path: Path) -> None:
    for model, machine in (("a", "GPU A"), ("b", "GPU B")):
        timing = [record(machine=machine)]
        result_file(tmp_path, {"phone_book_20": 0.9}, model=model, metadata={"timing": timing})
    scores = read_scores([tmp_path])
    assert "| a       | GPU A     | 1       | tokens" in timing_table(scores)
    drawing = draw_by_time("phone_book", scores, styles(["a", "b"]), tmp_path)[1].read_text()
    assert "<!-- a, GPU A -->" in drawing and "<!-- b, GPU B -->" in drawing


@pytest.mark.parametrize(
    "timing",
    [
        True,
        {},
        [record(batch=0)],
        [record(prefill_seconds=0)],
        [record(token_seconds=-1.0)],
        [record(token_seconds=1e300)],
        [record(token_range=[1.0])],
        [record(machine="")],
        [record(machine="x" * 201)],
        [record()] * 101,
    ],
)
def test_timings_that_are_none_are_refused(tmp_path: Path, timing: object) -> None:
    result_file(tmp_path, {"phone_book_20": 0.9}, metadata={"timing": timing})
    with pytest.raises(InputError, match=r"timing"):
        read_scores([tmp_path])


def test_machines_have_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H100")
    assert machine_name([torch.device("cuda", 0), torch.device("cuda", 1)]) == "2 x NVIDIA H100"
    assert machine_name([CPU]).startswith(processor_name())
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: A Processor @ 2 GHz\n")
    monkeypatch.setattr("dataset_builders.machine._CPU_INFO", tmp_path / "cpuinfo")
    assert processor_name() == "A Processor @ 2 GHz"
    monkeypatch.setattr("dataset_builders.machine._CPU_INFO", tmp_path / "none")
    assert processor_name()
