"""Which files are images. The names of the data sets are the keys of `datasets.registry.DATASETS`.

For those that import no NumPy.
"""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")  # in lower or upper case
