"""The bundled models: trained, packed into small archives, and put in their places.

::

    python -m synthetic_training.bundled train --out bundled       # on GPUs: a sweep, then three seeds each
    python -m synthetic_training.bundled pack bundled --to packed  # archives small enough to carry
    python -m synthetic_training.bundled install packed            # the best seed of each into checkpoints/
"""
