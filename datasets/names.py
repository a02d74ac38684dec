"""The names of files: of images, and of CIFAR-10's records.

Those of the data sets are the keys of `datasets.registry.DATASETS`. For those that import no NumPy.
"""

# In lower or upper case. Of a file with several images, such as an animation, the first is taken.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif",
)  # fmt: skip
CIFAR10_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
