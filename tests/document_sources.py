"""Where the numbers of each document come from."""

from collections.abc import Sequence

from tests.import_graph import ROOT

CHECKPOINTS = "synthetic_training/checkpoints"

RESULTS = "lm_eval_tasks/documents/results"
RUNS = "lm_eval_tasks/documents/runs.yml"
CARDS = sorted(str(file.relative_to(ROOT)) for file in (ROOT / CHECKPOINTS).glob("*/README.md"))

SOURCES: dict[str, tuple[str, ...]] = {
    "README.md": (
        f"{RESULTS}/phone_book.md",
        f"{RESULTS}/smollm2_phone_book.md",
        RUNS,
        "synthetic_training/figures/results/length_generalization_paper.md",
    ),
    "docs/getting_started.md": (f"{RESULTS}/phone_book.md", f"{RESULTS}/smollm2_phone_book.md", RUNS),
    "docs/faq.md": (f"{RESULTS}/smollm2_dtypes.md", f"{RESULTS}/smollm2_phone_book.md", RUNS),
    "docs/reading_a_report.md": (f"{RESULTS}/phone_book.md",),
    "docs/your_architecture.md": ("synthetic_training/results/gated_linear_attention.json",),
    "lm_eval_tasks/CAPACITY.md": (f"{RESULTS}/phone_book.md", f"{RESULTS}/state.md", RUNS),
    "lm_eval_tasks/CONTROLS.md": (f"{RESULTS}/controls.md", f"{RESULTS}/smollm2_controls.md", RUNS),
    "lm_eval_tasks/LEADERBOARDS.md": (RUNS,),
    "lm_eval_tasks/PROBE.md": ("docs/examples/tiny_llama/recall_probe/*.json",),
    "lm_eval_tasks/strings/README.md": (f"{RESULTS}/smollm2_spellings.md", RUNS),
    f"{CHECKPOINTS}/README.md": (f"{RESULTS}/models.md", RUNS),
    **dict.fromkeys(CARDS, (f"{RESULTS}/models.md", f"{CHECKPOINTS}/results/training.md", RUNS)),
    "synthetic_training/README.md": (
        "synthetic_training/results/*.json",
        "synthetic_training/configs/*.yaml",
        "synthetic_training/config.py",
        "synthetic_training/figures/results/length_generalization_paper.*",
        "synthetic_training/figures/results/mamba_recall_paper.md",
        "synthetic_training/speed/results/*.json",
    ),
    "synthetic_training/DEVIATIONS.md": (
        "synthetic_training/deviations/results/*",
        "synthetic_training/precision/results/mamba_*.jsonl",
        "synthetic_training/models/presets.yaml",
        "synthetic_training/config.py",
    ),
    "lm_eval_tasks/speed/README.md": ("lm_eval_tasks/speed/results/*",),
    "synthetic_training/speed/README.md": ("synthetic_training/speed/results/*",),
    "synthetic_training/theory/README.md": (
        "synthetic_training/theory/results/*.json",
        "synthetic_training/theory/results/*.md",
        "synthetic_training/figures/results/state.md",
    ),
}
"""Where the numbers of each document come from, besides the output of commands that it has."""

LINKED = (
    "synthetic_training/figures/README.md",
    "synthetic_training/figures/efficiency.md",
    "synthetic_training/figures/hard_alibi.md",
    "synthetic_training/figures/mamba_weights.md",
    "synthetic_training/figures/ngram_lookup.md",
    "synthetic_training/figures/runs.md",
    "synthetic_training/precision/README.md",
)
"""Documents in which each section links to the results and configurations that its numbers come from."""

_CARD = {
    "the confidence level": ("95%",),
    "a setting of the loss": ("5%",),
    "a part of the mix": ("20%",),
    "a census": ("1990",),
}

ELSEWHERE: dict[str, dict[str, Sequence[str]]] = {
    "README.md": {"a version of Python": ("3.11",)},
    "docs/getting_started.md": {
        "a version of Python": ("3.11",),
        "bounds that tests/test_extras.py compares": ("2.2", "4.56", "2.11", "5.17"),
        "MB of a package": ("98",),
        "GB of wheels on the day that the page names": ("3.2", "2026"),
    },
    "docs/faq.md": {
        "intervals that tests/test_intervals.py computes": (
            "0.01", "0.04", "0.11", "0.19", "0.28", "0.40", "0.46", "0.54", "0.64", "0.66", "0.76",
        ),
        "comparisons that tests/test_document_numbers.py computes": (
            "0.02", "0.05", "20%", "30%", "5%", "80%", "1,960", "3,922", "5,884", "312", "626", "940", "76",
            "155", "233",
        ),
        "the confidence level": ("95%",),
        "tokens of a window that lm-eval assumes": ("2048", "2,048"),
        "documents of a task": ("500",),
        "versions of transformers": ("5.23", "5.24"),
        "tokens of a phone book, which BACKENDS.md also names": ("10.3",),
        "an example of a long document, and the largest": ("100,000", "99,000", "9,600", "1,000,000"),
        "examples of models and their bytes": ("410 million", "6.7 billion", "4,096", "128", "13.4"),
        "an answer": ("8549573267",),
        "symbols of a vocabulary, and a range of learning rates": ("30",),
        "bits of a letter and an entry": ("4.7", "31.9"),
    },
    "docs/reading_a_report.md": {
        "letters of the alphabet": ("26",),
        "a batch size of the example": ("64",),
        "half the vocabulary of mqar": ("4,096",),
    },
    "docs/your_architecture.md": {
        "runs that tests/test_document_examples.py plans": ("54",),
        "tokens of the window that lm-eval assumes": ("2,048",),
        "a version of transformers": ("5.24",),
        "the confidence level": ("95%",),
        "a tolerance": ("0.01%",),
        "lines of wrappers of other packages": ("8", "9", "11", "12", "14", "16", "21", "34"),
    },
    "lm_eval_tasks/CAPACITY.md": {
        "probabilities of the tests": ("2.5%",),
        "bootstrap sets and simulations": ("2,000",),
        "simulations of intervals that are not kept": ("12", "500", "55", "90%"),
        "what random answers are": ("31.9", "4.7", "6,000,000,000", "9,999,999,999"),
        "a theorem": ("2.7",),
    },
    "lm_eval_tasks/CONTROLS.md": {"the logarithm of the count of numbers": ("22.1",)},
    "lm_eval_tasks/PROBE.md": {
        "versions of packages": (
            "0.19", "0.21", "0.31", "0.43", "1.15", "1.16", "2.13", "2.21", "2.6", "3.17", "5.23",
        ),
        "examples": ("3", "4", "500"),
        "steps, which are in the names of the files": ("400", "800"),
    },
    "lm_eval_tasks/strings/README.md": {
        "counts that lm_eval_tasks.speed.spelling prints": ("0.61", "12", "69", "77", "200"),
        "sums of a column": ("192", "22"),
        "defaults and examples of the tasks": ("2,048", "26", "3", "30", "500"),
    },
    "lm_eval_tasks/LEADERBOARDS.md": {
        "the confidence level": ("95%",),
        "the lowest score": ("0",),
        "documents of a task": ("500",),
        "a version of Python": ("3.12",),
        "quantiles of the normal distribution and their squares": ("1.96", "3.84"),
        "a comparison that tests/test_compare.py makes": ("0.02", "0.125"),
        "simulations of intervals that are not kept": ("34%", "90%", "91%", "99%"),
    },
    **dict.fromkeys(CARDS, _CARD),
    "synthetic_training/README.md": {
        "parameters of the example and of configurations": ("9.1 billion",),
        "the size of a preset, which tests/test_presets.py counts": ("156",),
        "exit statuses": ("130",),
    },
    "synthetic_training/DEVIATIONS.md": {
        "parameters, which tests/test_presets.py and tests/test_synthetic_models.py count": (
            "81,231,872", "100,823,070", "160 million",
        ),
        "tokens of rows and examples": ("41", "43", "2,001"),
        "found by running the released code": ("1.2e-6", "8e-7", "3e-7", "6.6%", "2.97", "2.93"),
        "steps of a small run": ("251", "300"),
    },
    "synthetic_training/figures/README.md": {
        "an exit status": ("124",),
        "figures and sections of the paper": (
            "1", "2", "3.2", "3.3", "3.5", "4.2", "4.3", "5", "6", "7", "50", "100", "300",
        ),
        "steps and settings in an issue of the released code": ("3", "30", "250,000", "300,000"),
        "runs of the precision study, which has a table of them, and their steps": ("26", "5,000"),
    },
    "synthetic_training/figures/efficiency.md": {
        "steps of the plan": ("18,000",),
        "examples, ratios and slopes, which tests/test_efficiency_claims.py derives": (
            "63,310", "64,526", "103,256", "5.4", "31.6", "7.1", "33,067", "10.4", "24.6", "2.7",
            "1.91", "1.71", "2.11", "2.45", "2.16", "2.74",
            "9,831", "11,456", "12,562", "51,602", "8,448", "23,131",
        ),
    },
    "synthetic_training/figures/hard_alibi.md": {
        "examples in training": ("436 thousand",),
        "errors that tests/test_document_numbers.py computes": (".065", ".121", ".220"),
        "competitors and accuracies that tests/test_document_claims.py counts": ("66", ".578", ".618"),
        "tests of runs that are not done": ("300", "5,000"),
    },
    "synthetic_training/figures/mamba_weights.md": {
        "a ratio of examples, which README.md has": ("5.4",),
        "settings of runs that were cut off": ("16,000",),
        "the width of the bundled Mamba": ("192",),
        "the weights of Mamba's authors": ("0.58",),
    },
    "synthetic_training/figures/runs.md": {
        "times of runs on a CPU that are not kept": (
            "1.8", "7", "13", "16", "17", "19", "21", "24", "30", "47", "48",
        ),
        "runs that are not in the tables, and their hours": ("2.5", "28", "42"),
        "an exit status": ("124",),
    },
    "synthetic_training/precision/README.md": {
        "the width of the model": ("1,024",),
        "layers": ("24",),
        "runs of both files, and of those with the authors' weights": ("42", "34"),
        "bits of a TF32 number's fraction": ("10",),
        "a median of speeds": ("84.7",),
        "a bound and means that tests/test_precision_of_types.py checks": (
            "99%", "92,000", "89,000", "178,000", "177,000",
        ),
    },
    "lm_eval_tasks/speed/README.md": {
        "tokens of a generated answer": ("50",),
        "seconds of a run, from its examples per second": ("13.4", "5.7"),
        "a ratio of two measured speeds": ("1.9",),
    },
    "synthetic_training/speed/README.md": {
        "the width of the models": ("1024",),
        "ratios of two measured speeds": ("1.74", "1.86", "3.66"),
        "steps, differences of losses and their ratios, derived in test_speed_claims.py": (
            "0.58", "1.5e-5", "7.7e-5", "850", "900",
        ),
        "a share of the best rate, from two measured rates": ("94",),
        "a goal": ("120k",),
        "a version of PyTorch": ("2.11",),
        "seconds in the text of an error": ("240",),
        "a rate of the card's data sheet": ("989",),
        "an issue of another project": ("640",),
        "a step's time, from its tokens per second": ("254.7", "278.6"),
        "an earlier run, with the paper's own code": ("20.7k", "128.6k", "40.2k", "51.0k"),
        "single runs with scripts that are not kept, as the document says": ("237k", "260k", "286k"),
    },
    "synthetic_training/theory/README.md": {
        "parameters of the two models": ("0.6 million", "1.1 million"),
        "bits of state, computed from the sizes that stand beside them": ("32,768",),
    },
}  # fmt: skip
"""Numbers that are in none of these, by document and reason."""

DESCRIBED = (*SOURCES, *LINKED)
"""All documents whose numbers are looked up."""
