"""Deletes what a deployment made when a cell fails or is interrupted, and when its process ends in any other way."""

import contextlib
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore import exceptions

from fraud_utils.deploy.errors import DeployError
from fraud_utils.deploy.place import Site

KEEPER = Path(__file__).with_name("keeper.py")


class Watch:
    """Follows the cells of a notebook and the life of this process, from `begin` to `end`.

    SageMaker on this machine that this process started ends with it, and all that it runs. For any other, a small
    process of its own waits for our end and then deletes what is there: no kill of ours can keep it from that.
    """

    def __init__(self, site: Site, delete: Callable[[], Any], log: Path) -> None:
        self.site, self.delete, self.log = site, delete, log
        self._keeper: subprocess.Popen[bytes] | None = None
        self._shell: Any = None

    @property
    def arguments(self) -> list[str]:
        """What Python is to run to delete this deployment from anywhere."""
        site, place = self.site, self.site.place
        words = ["-m", "fraud_utils.deploy", "cleanup", "--run", site.run, "--deployment", site.name, "--target"]
        words += [site.connection.target, "--region", site.connection.region]
        return [*words, "--bucket", place.bucket, "--prefix", place.prefix]

    @property
    def command(self) -> str:
        """The same, to be typed."""
        return shlex.join(["python", *self.arguments])

    def begin(self) -> None:
        """Follow the notebook that this process runs, if it runs one, and start the process that waits."""
        self._shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if self._shell:
            self._shell.events.register("post_run_cell", self._after_cell)
        if self.site.connection.owned:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, KEEPER, *self.arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self) -> None:
        """Leave things as they are from now on."""
        if self._shell:
            with contextlib.suppress(ValueError):
                self._shell.events.unregister("post_run_cell", self._after_cell)
            self._shell = None
        if self._keeper:
            self._keeper.communicate(b"done")
            self._keeper = None
            self.log.unlink(missing_ok=True)

    def _after_cell(self, result: Any) -> None:
        if not result.success:
            print(f"a cell failed or was interrupted: deleting {self.site.name}", file=sys.stderr)
            try:
                self.delete()
            except (DeployError, exceptions.BotoCoreError) as error:
                print(f"{error}\ntry: {self.command}", file=sys.stderr)
