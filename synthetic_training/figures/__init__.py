"""The paper's figures on synthetic tasks: what is run for each, how, and what is drawn of it.

``figure_file`` reads what a figure is; ``plan`` lists its runs; ``workers`` spreads them over the machine,
each one a ``job`` in a process of its own; ``results`` keeps a line of each; ``summary``, ``draw`` and
``tables`` show those lines; ``reproduce`` is all of it in order, and ``cost`` says what the runs took.
"""
