"""The paper's figures on synthetic tasks: their training runs, plots and tables.

``figure_file`` reads the definition of a figure; ``plan`` lists its runs; ``allocation`` decides where they
run, and ``execute`` runs each as a ``job`` in its own process; ``results`` stores one line per run;
``summary``, ``draw`` and ``tables`` show these lines; ``reproduce`` does all of this in order; and ``cost``
reports GPU hours.
"""
