"""What make says about a variable that none of its goals takes; prints nothing where every variable is known.

`unknown_variable.py "GOAL ..." NAME=value ...`. The variables of a target stand in its help line in the Makefile, as
NAME=. Any Python from 3.9 on runs it, without an environment.
"""

import json
import re
import sys
from difflib import get_close_matches
from pathlib import Path


def variables(goals: list[str]) -> list[str]:
    """The variables that these targets take."""
    lines = re.findall(r"^([a-z-]+):.*?## (.*)", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return sorted({name for target, text in lines if target in goals for name in re.findall(r"\b([A-Z_]+)=", text)})


def parameters() -> set[str]:
    """The parameters of the notebooks, all of which PARAMS sets."""
    cells = [cell for path in Path("notebooks").glob("*.ipynb") for cell in json.loads(path.read_bytes())["cells"]]
    tagged = ("".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", []))
    return {name for source in tagged for name in re.findall(r"^(\w+): ", source, re.MULTILINE)}


def hint(name: str, value: str, known: list[str]) -> str:
    """What was probably meant, else what there is."""
    ours = parameters() if "PARAMS" in known else set()
    if name.lower() not in ours and (close := get_close_matches(name.upper(), known, 1)):
        return f"did you mean {close[0]}?"
    if close := get_close_matches(name.lower(), ours, 1):
        return f'did you mean PARAMS="{close[0]}={value}"?'
    return f"it takes {', '.join(known)}" if known else "it takes no variables"


if __name__ == "__main__":
    goals = sys.argv[1].split() or ["help"]
    known = variables(goals)
    for pair in sys.argv[2:]:
        name, _, value = pair.partition("=")
        if name not in known:
            print(f"'make {' '.join(goals)}' takes no variable {name}; {hint(name, value, known)}")
            break
