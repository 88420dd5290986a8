"""The run that the repository keeps to look at: `runs/example/`, distilled from a full run on the real data.

What is published names no machine and is small: figures have fewer colours, in the `.ipynb` files half the size, too
(their pages hold the sharp ones), paths are cut to their last part, of the alerts to look at only what explains them is
left; model and scores stay behind. `make example` runs this program.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import shutil
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from fraud_utils import record
from fraud_utils.data import DEFAULT_PATH
from fraud_utils.project import root
from fraud_utils.record import Case, RunRecord
from fraud_utils.report import figures, pages, program
from fraud_utils.report.errors import ExampleError
from fraud_utils.report.runs import RUNS

LIMIT_BYTES = 3_000_000
COLOURS = 32  # of a figure
# Where people's machines keep their files; /opt/ml is SageMaker's own and the same everywhere.
_MACHINE = re.compile(
    r"(?<![\w.~-])/(?:home|root|Users|work|workspace|tmp|private|var|mnt|srv|opt/(?!ml\b)|usr)/[^\s\"'<>]+"
)
_IMAGE = re.compile(r"data:image/(?:png|webp);base64,[\w+/=]+")


def distil(run: Path, to: Path, draft: bool = False) -> int:
    """Write summary, notebooks and their figures of a finished run into a folder of their own, replacing it.

    Parameters
    ----------
    run : Path
        Folder of a finished run.
    to : Path
        What an example lies in, and is called.
    draft : bool
        Take a quick run, and simulated transactions, too.

    Returns
    -------
    int
        Bytes of all files.

    Raises
    ------
    ExampleError
        The run is not finished, not of the full profile or not of real data; a file would name a path of this
        machine; or all together are larger than `LIMIT_BYTES`.
    """
    try:
        finished = record.load(run)
    except FileNotFoundError:
        raise ExampleError(f"{run}: not a finished run, for it has no metrics.json") from None
    real = finished.data and not finished.data.simulated
    if not draft and not (real and finished.parameters.get("profile") == "full"):
        raise ExampleError(f"{run}: an example is a full run on real data; DRAFT=1, or --draft, takes any")
    new = to.with_name(f".{to.name}-{os.getpid()}") / to.name  # pages are called after their folder
    shutil.rmtree(new.parent, ignore_errors=True)
    try:
        shutil.copytree(run / "figures", new / "figures")
        for figure in (new / "figures").glob("*.png"):
            figure.write_bytes(_smaller(figure.read_bytes()))
        names = _names(finished)
        record.save(new, replace(finished, run=to.name, cases=_explained(finished.cases)))
        if (kept := run / record.RESAMPLES_FILE).exists():  # so that the first comparison with it is paired
            shutil.copy(kept, new)
        (new / record.FILE).write_text(_scrubbed((new / record.FILE).read_text(encoding="utf-8"), names))
        shown = record.load(new)
        pages.write_summary(new, shown)
        notebooks = sorted(run.glob("[0-9][0-9]_*.ipynb"))
        for notebook in notebooks:
            (new / notebook.name).write_text(_scrubbed(_light(notebook), names), encoding="utf-8")
            pages.write_notebook(new / notebook.name, shown.data, beside=figures.OF_SUMMARY)
            (new / notebook.name).write_text(_scrubbed(_light(notebook, half=True), names), encoding="utf-8")
        pages.write_summary(new, shown)
        pages.link_notebooks(new, shown.data)
        for figure in (new / "figures").iterdir():
            if figure.suffix == ".json" or figure.stem.removesuffix("-narrow") not in figures.OF_SUMMARY:
                figure.unlink()
        size = check(new)
        if to.exists():
            to.rename(new.parent / "old")
        new.rename(to)
    finally:
        shutil.rmtree(new.parent, ignore_errors=True)
    return size


def _explained(cases: tuple[Case, ...] | None) -> tuple[Case, ...] | None:
    """The cases with their scores and how far each column moved them, without anything that stands in a row."""
    return cases and tuple(
        replace(case, amount=None, when=None, reasons=tuple(replace(each, value=None) for each in case.reasons))
        for case in cases
    )


def _smaller(png: bytes, half: bool = False) -> bytes:
    """The picture in fewer colours, with its description; perhaps half as wide and high."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from fraud_utils import plots

    written, about, picture = io.BytesIO(), PngInfo(), Image.open(io.BytesIO(png))
    for key, value in getattr(picture, "text", {}).items():
        about.add_itxt(key, value)
    drawn = picture.convert("RGB").reduce(2 if half else 1)
    plots.in_few_colours(drawn, COLOURS).save(written, "PNG", optimize=True, pnginfo=about)
    return written.getvalue()


def _light(notebook: Path, half: bool = False) -> str:
    """The executed notebook as text, its figures smaller, without what papermill notes of times and paths."""
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    content.metadata.pop("papermill", None)
    for cell in content.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                output.data["image/png"] = base64.b64encode(_smaller(base64.b64decode(png), half)).decode()
    return nbformat.writes(content)


def _names(run: RunRecord) -> dict[str, str]:
    """Paths of this machine that a run may hold, and what to call them."""
    given = [run.data and run.data.path, *(run.parameters.get(name) for name in ("data", "schema"))]
    names = {str(path): Path(path).name for path in given if path and Path(path).is_absolute()}
    return names | {str(root()): ".", str(Path.home()): "~"}


def _scrubbed(text: str, names: dict[str, str]) -> str:
    for path in sorted(names, key=len, reverse=True):
        if len(path) > 1:  # a home of "/" would be every path's beginning
            text = re.sub(rf"{re.escape(path)}(?![\w-])", names[path], text)
    return text


def check(folder: Path) -> int:
    """The bytes of all files of an example; an ExampleError where they are too many or one names a machine's path."""
    size = 0
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        size += file.stat().st_size
        if file.suffix != ".png":
            text = file.read_text(encoding="utf-8")
            text = _IMAGE.sub("", re.sub(r'"image/png": "[^"]*"', "", text))
            if found := _MACHINE.search(text):
                raise ExampleError(f"{file.name} would name {found[0]}, a path of this machine; fix what printed it")
    if size > LIMIT_BYTES:
        raise ExampleError(f"{size:,} bytes are more than the {LIMIT_BYTES:,} that an example may have")
    return size


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit status: 0, 1 the run failed or cannot be shown, 2 asked wrongly."""
    parser = argparse.ArgumentParser(
        prog="python -m fraud_utils.report.example",
        description="Distil a run into runs/example/. Everything that make report takes is taken from the environment.",
    )
    parser.add_argument(
        "--run", default=os.environ.get("RUN", ""), help="a finished run; one is made where there is none"
    )
    parser.add_argument("--to", type=Path, default=RUNS / "example", help="default: %(default)s")
    parser.add_argument("--draft", action="store_true", help="take a quick run, and simulated transactions, too")
    options = parser.parse_args(arguments)
    os.chdir(root())
    name = options.run or f"example-{datetime.now():%Y%m%d-%H%M%S}"
    folder = RUNS / name
    if not (folder / record.FILE).is_file():
        if not options.draft and not (os.environ.get("DATA") or Path(DEFAULT_PATH).is_file()):
            print("error: an example needs the real data: DATA=path, or make data first", file=sys.stderr)
            return 2
        if not options.draft and (os.environ.get("PROFILE") or "full") != "full":
            print("error: an example is a full run; leave PROFILE out, or try things out with DRAFT=1", file=sys.stderr)
            return 2
        if status := program.main(["--run", name]):
            return status
    try:
        size = distil(folder, options.to, options.draft)
    except (ExampleError, record.RecordError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{(options.to / 'index.html').as_posix()}  ({size / 1e6:.2f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
