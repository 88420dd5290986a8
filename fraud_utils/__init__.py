"""What the notebooks, the container and the tests share: a package a role."""

__version__ = "0.1.0"
