"""What the notebooks, the container and the tests share: a package a role."""

import sys

__version__ = "0.1.0"

# Compiles a grammar when it is imported, 1.5 s of CPU in each process that reads a notebook or loads the SDK, so that
# jsonschema can check addresses in JSON; nothing here asks for that.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
