"""``python -m keras_ssvae.cli`` is the shell, as ``keras-ssvae`` is."""

import sys

from keras_ssvae.cli import main

__all__ = []

sys.exit(main())
