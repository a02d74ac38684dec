"""What the data sets are called and which files are images, for those that import no NumPy."""

# In the order in which the launch scripts look for them in a folder. `registry.py` opens them.
DATA_SETS = (
    "mnist",
    "fashion_mnist",
    "cifar10",
    "celebA",
    "lsun",
    "synthetic",
    "synthetic_mnist",
)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")  # in lower or upper case
