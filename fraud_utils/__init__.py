"""What the notebooks, the container and the tests share: one module, one idea."""

__version__ = "0.1.0"
