"""JupyterLab for this project, as `make lab` starts it: running a notebook does not change the file that git has."""

import os
from pathlib import Path
from typing import Any

import nbformat
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

ROOT = Path(__file__).resolve().parents[1]


class Notebooks(AsyncLargeFileManager):
    """Saves notebooks/*.ipynb without outputs and editors' metadata, and once more as they are into runs/lab/.

    What was kept there is shown when a notebook is opened again, at the cells that have not changed since.
    """

    @staticmethod
    def _kept(path: str) -> Path | None:
        """Where a notebook's outputs are kept; None for other files."""
        folder, _, name = path.strip("/").rpartition("/")
        return ROOT / "runs" / "lab" / name if folder == "notebooks" and name.endswith(".ipynb") else None

    async def get(self, path: str, *arguments: Any, **settings: Any) -> dict[str, Any]:
        model = await super().get(path, *arguments, **settings)
        kept = self._kept(path)
        if kept and kept.exists() and model["type"] == "notebook" and model["content"]:
            notebook = nbformat.read(kept, as_version=4)
            self.mark_trusted_cells(notebook, path)
            earlier = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
            for cell in model["content"].cells:
                same = earlier.get(cell.id)
                if same and same.source == cell.source:
                    cell |= {"outputs": same.outputs, "execution_count": same.execution_count}
                    cell.metadata.trusted = same.metadata.trusted
        return model

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        kept, file = self._kept(path), ROOT / path.strip("/")
        if kept and model.get("type") == "notebook":
            notebook = nbformat.from_dict(model["content"])
            self.check_and_sign(notebook, path)
            kept.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, kept)
            for cell in notebook.cells:
                cell.metadata = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
                if cell.cell_type == "code":
                    cell |= {"outputs": [], "execution_count": None}
            if file.exists():  # the kernel's name and version are this machine's
                notebook.metadata = nbformat.read(file, as_version=4).metadata
            model = model | {"content": notebook}
        return await super().save(model, path)


c = get_config()  # noqa: F821  # type: ignore[name-defined]
c.ServerApp.contents_manager_class = Notebooks
c.ServerApp.root_dir = str(ROOT)
c.ServerApp.allow_root = os.geteuid() == 0  # in a container nobody else is there
c.LabApp.custom_css = True
c.ServerApp.tornado_settings = {"static_custom_path": [str(ROOT / ".make" / "labconfig")]}  # labconfig/custom.css
