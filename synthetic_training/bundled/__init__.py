"""The bundled models: training them, packing them into small archives, and installing them in the package.

::

    python -m synthetic_training.bundled train --out bundled       # on GPUs: a sweep, then three seeds each
    python -m synthetic_training.bundled pack bundled --to packed  # archives of limited size
    python -m synthetic_training.bundled install packed            # the best seed of each into checkpoints/
"""
