"""The paper's experiments on pretrained models in one command: plan, lm-eval runs, figures and a page.

``python -m lm_eval_tasks paper`` evaluates each model of a list on each experiment with a run of ``lm_eval``.
``model_list`` and ``experiments`` define what can be run, ``plan`` and ``estimate`` what will be run,
``execute`` runs it, and ``figures``, ``claims`` and ``page`` show the results.
"""
