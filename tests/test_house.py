"""The house stands as it was drawn: which room may use which, and how large a module, a class and a function may be."""

import ast
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "fraud_utils"
ALL = {"project", "record", "intervals", "words"}
# A room and the rooms it may use. The container's programs serve and train with what stands here for them, and no more.
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
    "training": {"project", "models", "artifact", "data"},
    "serving": {"project", "artifact"},
    "local_sagemaker": {"project"},
    "deploy": {*ALL, "evaluation", "artifact", "data"},
    "report": {*ALL, "evaluation", "plots", "artifact", "data"},
    "notebooks": {*ALL, "deploy", "plots", "explore", "evaluation", "models", "artifact", "data"},
    "container/train.py": {"training"},
    "container/serve.py": {"serving"},
}
MODULE, CLASS, FUNCTION, LONGER, ARGUMENTS = 400, 200, 40, 0.02, 6


def rooms() -> Iterator[tuple[str, Path, ast.Module]]:
    """Room, file and syntax tree of all code that is not a test."""
    for file in sorted(PACKAGE.rglob("*.py")):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room != "__init__":
            yield room, file, ast.parse(file.read_text())
    for file in sorted(ROOT.glob("container/*.py")):
        yield f"container/{file.name}", file, ast.parse(file.read_text())
    for file in sorted(ROOT.glob("notebooks/*.ipynb")):
        cells = json.loads(file.read_text())["cells"]
        yield "notebooks", file, ast.parse("\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code"))


def arrows() -> Iterator[tuple[str, Path, str, str, str]]:
    """Room, file, and of each import from another room: that room, its module ("" for its face) and the name."""
    for room, file, tree in rooms():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                taken = [(alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{file}: relative import; name the package"
                taken = [(node.module or "", alias.name) for alias in node.names]
            else:
                continue
            for module, name in taken:
                parts = module.split(".")
                if parts[0] != "fraud_utils" or name == "__version__":
                    continue
                if len(parts) == 1:  # from fraud_utils import data
                    parts, name = [*parts, name], ""
                if parts[1] != room:
                    yield room, file, parts[1], ".".join(parts[2:]), name


def test_rooms_use_only_what_lies_below_them():
    wrong = {f"{file.relative_to(ROOT)}: {room} -> {other}" for room, file, other, _, _ in arrows()
             if other not in MAY_USE[room]}  # fmt: skip
    assert not wrong


def test_no_arrow_of_the_plan_leads_back():
    below: dict[str, set[str]] = {}
    while len(below) < len(MAY_USE):
        ready = {room for room in MAY_USE if room not in below and MAY_USE[room] <= below.keys()}
        assert ready, f"a circle among {sorted(MAY_USE.keys() - below.keys())}"
        below |= {room: MAY_USE[room] for room in ready}


def public(room: str) -> set[str]:
    """The names that a room's face gives."""
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text())
    assert ast.get_docstring(tree), f"{room} does not say what it is"
    named = [node.value for node in tree.body if isinstance(node, ast.Assign)
             and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)]  # fmt: skip
    return set(chain.from_iterable(ast.literal_eval(value) for value in named))


def test_a_room_is_entered_by_its_face():
    packages = {folder.parent.name for folder in PACKAGE.glob("*/__init__.py")}
    faces = {room: public(room) for room in packages}
    wrong = []
    for _, file, other, module, name in arrows():
        if other not in packages:
            continue
        inner = f"{module}.{name}".strip(".")  # data.simulate is a package with a face of its own
        by_face = (not module and (not name or name in faces[other])) or (other, module) == ("data", "simulate")
        if not by_face:
            wrong.append(f"{file.relative_to(ROOT)}: {other}.{inner}")
    assert not wrong


def lines(node: ast.AST) -> int:
    return node.end_lineno - node.lineno + 1  # type: ignore[attr-defined]


def body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature and its docstring."""
    inner = node.body[1:] if ast.get_docstring(node) else node.body
    return inner[-1].end_lineno - inner[0].lineno + 1 if inner else 0  # type: ignore[operator]


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for room, file, tree in rooms():
        for node in ast.walk(tree):
            if room != "notebooks" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{file.relative_to(ROOT)}:{node.lineno} {node.name}", node


def test_a_module_is_read_in_one_sitting():
    sizes = {file.relative_to(ROOT).as_posix(): len(file.read_text().splitlines()) for room, file, _ in rooms()
             if room != "notebooks"}  # fmt: skip
    assert not {file: size for file, size in sizes.items() if size > MODULE}


def test_a_class_has_one_idea():
    classes = ((f"{file.relative_to(ROOT)} {node.name}", lines(node)) for _, file, tree in rooms()
               for node in ast.walk(tree) if isinstance(node, ast.ClassDef))  # fmt: skip
    assert not {name: size for name, size in classes if size > CLASS}


def test_a_function_fits_on_a_screen():
    bodies = [(body(node), place) for place, node in functions()]
    longer = sorted(entry for entry in bodies if entry[0] > FUNCTION)
    assert len(longer) <= LONGER * len(bodies), longer


def test_what_travels_together_is_one_argument():
    many = []
    for place, node in functions():
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        if len([each for each in given if each.arg not in ("self", "cls")]) > ARGUMENTS:
            many.append(place)
    assert not many


@pytest.mark.parametrize("notebook", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_shows_and_does_not_program(notebook):
    """No function, no class, and cells of about ten lines: logic is in fraud_utils."""
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] != "code" or "parameters" in cell["metadata"].get("tags", []):
            continue
        source = "".join(cell["source"])
        assert len(source.splitlines()) <= 14, f"cell {cell['id']} is too long"
        bad = (ast.FunctionDef, ast.ClassDef, ast.Lambda)
        assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, bad)], cell["id"]
