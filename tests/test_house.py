"""The house stands as it was drawn (DESIGN): which room uses which, how large its parts are, where tests are found."""

import ast
import json
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "fraud_utils"
ALL = {"project", "record", "intervals", "words"}
# A room and the rooms it may use. The container's programs are thin: what they do is in the one room each of them uses.
MAY_USE = {
    "project": set(),
    "intervals": set(),
    "words": set(),
    "record": {"project"},
    "artifact": {"project"},
    "data": {"project", "words", "artifact"},
    "models": {"project", "artifact", "data"},
    "evaluation": {*ALL, "models", "artifact", "data"},
    "explore": {*ALL, "artifact", "data", "evaluation"},
    "plots": ALL,
    "monitor": {*ALL, "evaluation", "artifact", "data"},
    "training": {"project", "models", "artifact", "data"},
    "serving": {"project", "artifact"},
    "local_sagemaker": {"project"},
    "deploy": {*ALL, "evaluation", "artifact", "data"},
    "report": {*ALL, "deploy", "evaluation", "plots", "models", "artifact", "data"},
    "notebooks": {*ALL, "deploy", "monitor", "plots", "explore", "evaluation", "models", "artifact", "data"},
    "container/train.py": {"training"},
    "container/serve.py": {"serving"},
}
MODULE, CLASS, FUNCTION, LONGER, ARGUMENTS = 400, 200, 40, 0.02, 6  # lines; share of functions that may be longer
# Tests of what is no module: the house, the lock and environments, the Makefile, the notebooks, reports on tables of
# many shapes, the image, all answers and all findings and questions of a table together, how near simulated rows come,
# every fault of a file, what goes to AWS beside the code, the circle from deployment to monitoring and back,
# and the Handbook's protocol.
NO_MODULE = {
    "test_house",
    "test_environment",
    "test_make",
    "notebooks/test_notebooks",
    "notebooks/test_samples",
    "notebooks/test_shapes",
    "container/test_image",
    "evaluation/test_evaluation",
    "explore/test_explore",
    "data/simulate/test_likeness",
    "data/test_faulty_files",
    "deploy/test_policy",
    "monitor/test_circle",
    "bench/test_handbook",
}


def none(wrong: Iterable[str], remedy: str) -> None:
    """Fail with one fault a line, and what to do about them."""
    if lines := sorted(set(wrong)):
        pytest.fail("\n  ".join([f"{remedy}:", *lines]), pytrace=False)


@cache
def rooms() -> tuple[tuple[str, Path, ast.Module], ...]:
    return tuple(parsed())


def parsed() -> Iterator[tuple[str, Path, ast.Module]]:
    """Room, file and syntax tree of all code that is not a test."""
    for file in sorted(PACKAGE.rglob("*.py")):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room != "__init__":
            yield room, file.relative_to(ROOT), ast.parse(file.read_text())
    for file in sorted(ROOT.glob("container/*.py")):
        yield f"container/{file.name}", file.relative_to(ROOT), ast.parse(file.read_text())
    for file in sorted(ROOT.glob("notebooks/*.ipynb")):
        cells = (cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == "code")
        yield "notebooks", file.relative_to(ROOT), ast.parse("\n".join("".join(cell["source"]) for cell in cells))


def arrows() -> Iterator[tuple[str, Path, str, str, str]]:
    """Room, file, and of each import from another room: that room, its module ("" for its face) and the name."""
    for room, file, tree in rooms():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported = [(alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{file}:{node.lineno}: a relative import; name the package"
                imported = [(node.module or "", alias.name) for alias in node.names]
            else:
                continue
            for module, name in imported:
                parts = module.split(".")
                if parts[0] != "fraud_utils" or name == "__version__":
                    continue
                if len(parts) == 1:  # from fraud_utils import data
                    parts, name = [*parts, name], ""
                if parts[1] != room:
                    yield room, file, parts[1], ".".join(parts[2:]), name


def test_rooms_use_only_what_lies_below_them():
    strangers = {room for room, _, _ in rooms()} - MAY_USE.keys()
    none(strangers, "rooms that DESIGN does not know; add them to MAY_USE with what they may use")
    wrong = (f"{file}: {room} -> {other}" for room, file, other, _, _ in arrows() if other not in MAY_USE[room])
    none(wrong, "imports that no arrow of DESIGN allows; move what is shared down, or pass it in")


def test_no_arrow_of_the_plan_leads_back():
    below: set[str] = set()
    while len(below) < len(MAY_USE):
        ready = {room for room in MAY_USE.keys() - below if MAY_USE[room] <= below}
        assert ready, f"a circle among {sorted(MAY_USE.keys() - below)}"
        below |= ready


def public(room: str) -> set[str]:
    """The names that a room's face gives."""
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text())
    assert ast.get_docstring(tree), f"fraud_utils/{room}/__init__.py does not say what the room is"
    named = [node.value for node in tree.body if isinstance(node, ast.Assign)
             and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)]  # fmt: skip
    return set(chain.from_iterable(ast.literal_eval(value) for value in named))


def test_a_room_is_entered_by_its_face():
    faces = {folder.parent.name: public(folder.parent.name) for folder in PACKAGE.glob("*/__init__.py")}
    wrong = []
    for _, file, other, module, name in arrows():
        by_face = not module and (not name or name in faces.get(other, {name}))
        if not by_face and (other, module) != ("data", "simulate"):  # a package with a face of its own
            wrong.append(f"{file}: fraud_utils.{'.'.join(filter(None, (other, module, name)))}")
    none(wrong, "imports past a room's __init__; use what is in its __all__, or add the name there")


def body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature and its docstring."""
    inner = node.body[1:] if ast.get_docstring(node) else node.body
    return inner[-1].end_lineno - inner[0].lineno + 1 if inner else 0  # type: ignore[operator]


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for room, file, tree in rooms():
        for node in ast.walk(tree):
            if room != "notebooks" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{file}:{node.lineno} {node.name}", node


def test_a_module_is_read_in_one_sitting():
    sizes = {file: len((ROOT / file).read_text().splitlines()) for room, file, _ in rooms() if room != "notebooks"}
    none((f"{file}: {size}" for file, size in sizes.items() if size > MODULE), f"modules of over {MODULE} lines")


def test_a_class_has_one_idea():
    sizes = {
        f"{file}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1  # type: ignore[operator]
        for _, file, tree in rooms()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    none((f"{place}: {size}" for place, size in sizes.items() if size > CLASS), f"classes of over {CLASS} lines")


def test_a_function_fits_on_a_screen():
    sizes = {place: body(node) for place, node in functions()}
    longer = [f"{place}: {size}" for place, size in sizes.items() if size > FUNCTION]
    if len(longer) > LONGER * len(sizes):
        none(longer, f"functions of over {FUNCTION} lines, more than {LONGER:.0%} of {len(sizes)}")


def test_what_travels_together_is_one_argument():
    wrong = []
    for place, node in functions():
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        count = len([each for each in arguments if each.arg not in ("self", "cls")])
        if count > ARGUMENTS:
            wrong.append(f"{place}: {count}")
    none(wrong, f"functions of over {ARGUMENTS} arguments; make what travels together one value")


@pytest.mark.parametrize("notebook", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_shows_and_does_not_program(notebook):
    """No function, no class, and cells of about ten lines: logic is in fraud_utils."""
    wrong = []
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] != "code" or "parameters" in cell["metadata"].get("tags", []):
            continue
        source = "".join(cell["source"])
        if len(source.splitlines()) > 14:
            wrong.append(f"{cell['id']}: {len(source.splitlines())} lines")
        bad = (ast.FunctionDef, ast.ClassDef, ast.Lambda)
        wrong += [f"{cell['id']}: {ast.unparse(node)}" for node in ast.walk(ast.parse(source)) if isinstance(node, bad)]
    none(wrong, "cells that program; move logic to fraud_utils")


def test_a_test_file_is_found_where_its_module_is():
    wrong = []
    for file in sorted(ROOT.glob("tests/**/test_*.py")):
        name = file.relative_to(ROOT / "tests").with_suffix("")
        module = name.with_name(name.name.removeprefix("test_"))
        places = [PACKAGE / f"{module}.py", PACKAGE / module, *ROOT.glob(f"{module}.*")]  # container/push.sh
        if name.as_posix() not in NO_MODULE and not any(place.exists() for place in places):
            wrong.append(f"tests/{name}.py: no fraud_utils/{module}.py")
    none(wrong, "test files without a module; rename them, or add them to NO_MODULE with the reason")
