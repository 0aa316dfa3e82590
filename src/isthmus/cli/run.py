"""What every command that trains does alike: options of the run, its folder, checkpoints, how it ends."""

from __future__ import annotations

import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.backend import Backend
from isthmus.cli.processes import go_on_alone
from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import CONFIG, LOG
from isthmus.files import WORKPLACE
from isthmus.training import launch
from isthmus.training.stopping import hold_until_saved, saved

CHECKPOINT = "checkpoint.safetensors"  # of a run in several parts: checkpoint-2.safetensors and so on, too
_CHECKPOINTS = "checkpoint*.safetensors"
_LEFT = f".{Path(CHECKPOINT).stem}"  # begins the name of what killed runs of earlier versions left


@dataclass(frozen=True)
class Run(Backend):
    """The options that all training commands share."""

    epochs: options.Epochs = None
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", help="Time to train, instead of epochs.", rich_help_panel=options.TRAINING),
    ] = None
    seed: Annotated[int, typer.Option("--seed", help="Random seed.", min=0, rich_help_panel=options.RUN)] = 0
    device: options.Device = "auto"
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue a run that was stopped or killed.", rich_help_panel=options.RUN),
    ] = False
    overwrite: options.Overwrite = False
    checkpoint_seconds: Annotated[
        float,
        typer.Option("--checkpoint-seconds", help="Seconds between checkpoints.", min=0, rich_help_panel=options.RUN),
    ] = 15.0
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write logs for TensorBoard.", rich_help_panel=options.RUN)
    ] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress bar.", rich_help_panel=options.RUN)] = (
        False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs is not None and self.minutes is not None:
            raise typer.BadParameter(f"give --epochs (={self.epochs}) or --minutes (={self.minutes:g}), not both")

    @property
    def settings(self) -> dict[str, Any]:
        """What every estimator's constructor takes of this."""
        return {"epochs": self.epochs, "minutes": self.minutes, "device": self.device, "random_state": self.seed}

    def into(self, folder: Path) -> RunFolder:
        """The run's folder, checked before anything is read: nothing that lies there comes to harm unasked."""
        options.check_folder(folder)
        resume = (folder / CHECKPOINT).exists() if launch.restarts() else self.resume and _can_resume(folder)
        if not resume and folder.is_dir():
            _check_free(folder, self.overwrite)
        return RunFolder(folder, self, resume)


@dataclass(frozen=True)
class RunFolder:
    """The folder that a run writes its model, its log and its checkpoints to.

    resume : whether there is a run to continue.
    """

    path: Path
    run: Run
    resume: bool

    def fit_options(self) -> dict[str, Any]:
        """What every estimator's `fit` takes beside the data. What other runs left is removed, unless continued."""
        hold_until_saved()
        listeners: list[Any] = []
        if launch.rank() == 0:
            if not self.resume:
                self._remove_checkpoints()
            listeners = self._listeners()
        return {
            "checkpoint": self.path / CHECKPOINT,
            "resume": self.resume,
            "checkpoint_seconds": self.run.checkpoint_seconds,
            "listeners": listeners,
            **self.run.fit_options,
        }

    def save(self, model: Any) -> None:
        """Save the model. A run that a signal ended keeps its checkpoints and ends the command, with 128 + signal."""
        model.save(self.path)
        number = go_on_alone(saved() or model.interrupted_)
        if number:
            again = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
            typer.echo(
                f"Stopped. The best model so far is in {self.path}. To continue: isthmus {shlex.join(again)} --resume",
                err=True,
            )
            raise typer.Exit(128 + number)
        self._remove_checkpoints()

    def _listeners(self) -> list[Any]:
        from isthmus.training.progress import JsonLines, TensorBoard, shown

        listeners: list[Any] = [JsonLines(self.path / LOG)]
        if self.run.tensorboard:
            listeners.append(TensorBoard(self.path / "tensorboard"))
        if not self.run.quiet:
            listeners.append(shown())
        return listeners

    def _remove_checkpoints(self) -> None:
        for path in (*self.path.glob(_CHECKPOINTS), *self.path.glob(f"{_LEFT}*")):
            path.unlink()


def go_on_after(model: Any, work: str) -> None:
    """Go on with the work after Ctrl-C, which ends learning alone there; another signal ends the command."""
    go_on_alone(model.interrupted_)
    if model.interrupted_ == signal.SIGINT:
        typer.echo(f"Stopped learning; {work} with what was learned so far.", err=True)
    elif model.interrupted_:
        raise typer.Exit(128 + model.interrupted_)


def _can_resume(folder: Path) -> bool:
    """Whether there is a run to continue; without one, training starts anew, so that scripts may always resume."""
    if (folder / CHECKPOINT).exists():
        return True
    if (folder / CONFIG).exists():
        raise IsthmusError(
            f"{folder} holds a finished model, so there is nothing to resume; to train anew, --overwrite"
        )
    typer.echo(f"There is no checkpoint in {folder}: training starts from the beginning.", err=True)
    return False


def _check_free(folder: Path, overwrite: bool) -> None:
    """Refuse a folder with anything but a model that may be replaced, or the remains of a killed run."""
    names = {path.name for path in folder.iterdir()}
    if all(name == LOG or name.startswith((WORKPLACE, _LEFT)) for name in names):
        return
    if not {CHECKPOINT, CONFIG} & names:
        raise IsthmusError(f"{folder} holds something that is not a model; choose another --output")
    if not overwrite:
        hint = " or --resume to continue it" if CHECKPOINT in names else ""
        raise IsthmusError(f"{folder} holds a model; choose another --output, or give --overwrite{hint}")
