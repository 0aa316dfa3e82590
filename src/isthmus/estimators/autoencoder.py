"""`AutoEncoder`: learn a code for data without labels, and the way back."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import nn

from isthmus.data.base import spread_samples
from isthmus.data.column_matching import MissingColumns
from isthmus.data.sample_kinds import SampleKindName
from isthmus.data.scaling import ChannelAxis, ScalingName
from isthmus.data.sources import Source, subset
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource, open_table_to_learn
from isthmus.device import choose_device
from isthmus.errors import IsthmusError
from isthmus.estimators.base import anywhere
from isthmus.estimators.recipe import latent_dim, network_spec, output, scaler_of, training_spec
from isthmus.estimators.table_objective import TableObjective
from isthmus.estimators.table_rows import ROWS_SHARE, TableRows
from isthmus.estimators.table_scores import residual_deviations
from isthmus.estimators.tasks import reconstruction_task
from isthmus.networks import AutoEncoderNetwork, build, check_trainable, wrap
from isthmus.objectives import Objective
from isthmus.registry import ActivationName, DownsamplingName, NetworkName, OptimizerName, UpsamplingName
from isthmus.spec import is_real
from isthmus.training.feed import SourceFeed
from isthmus.training.loop import Trainer
from isthmus.training.optimizers import constant
from isthmus.training.progress import Listener
from isthmus.training.run import Run, digest, seed_from
from isthmus.training.task import Task

_MOST_VALIDATION = 2_000  # samples: more would cost time and say nothing new


class AutoEncoder(TableRows):
    """Learn an encoder `Z = f(X)` and a decoder `X' = g(Z)` with `X' ≈ X`, without labels.

        X (n, height, width) ──f──▶ Z (n, latent_dim) ──g──▶ X' (n, height, width)

    Images, signals and volumes get a convolutional network, tables a fully connected one. What comes out has the
    dtype, range and layout of what went in.

    Parameters
    ----------
    latent_dim : int or "auto", default="auto"
        Numbers in the code of a sample. "auto" takes the knee of PCA's explained variance (at most 64).
    network : {"auto", "dense", "conv"} or (encoder, decoder), default="auto"
        "auto" takes "conv" for samples with 2 and more dimensions and "dense" for rows. A pair of torch modules is
        used as it is: the encoder maps (n, *network_shape) to (n, latent_dim), the decoder maps back.
    latent_channels : int, optional
        A spatial code (n, *spatial, latent_channels) in place of a flat one ("conv").
    hidden : sequence of int, optional
        Widths of the encoder's fully connected hidden layers; the decoder mirrors them. With "conv" they lie between
        the convolutions and a flat code; () for none.
    channels : sequence of int, optional
        Channels after each down-sampling stage ("conv"); the decoder mirrors them.
    kernel_size, factor : int, default=3 and 2
        Size of the convolutions, and down- and up-sampling per stage.
    activation, downsample, upsample, bottleneck : str
        Their names; see the guide "designing an auto-encoder". `bottleneck` takes a number after a colon:
        "variational:0.01" (β), "sparse:8" (codes kept), "quantised:5" (levels).
    objective : str or dict, default="mse"
        What "X' ≈ X" means: a name, or weights by name, as in {"mse": 1, "ssim": 0.1}.
    corruption : str, optional
        What is done to X before f sees it, as in "gaussian:0.1" or "masking:0-0.5"; the target stays clean. Levels
        are in scaled units: fractions of the range of images, standard deviations of table columns.
    consistency : str, optional
        Makes codes useful as features: a sample and its augmentation are to be recognised as one by their codes. "warp"
        turns, zooms and shifts images, signals and volumes a little; "exchange" takes cells of a table's row from other
        rows. A number is the weight, as in "warp:0.05" (default 0.1).
    epochs, minutes : optional
        Length of the run; the learning rate reaches zero at its end. Default: 400,000 samples, at most 50 epochs.
    batch_size, optimizer, learning_rate, weight_decay, gradient_clip, patience : optional
        Training; None and "auto" choose by network and size of the data. `patience` counts validations without
        improvement before the run stops early; None runs to the end.
    validation_fraction : float in [0, 1), default=0.1
        Share of the samples (at most 2,000) held out to pick the best weights.
    kind : {"auto", "signals", "table", "images"}, default="auto"
        What samples are. "auto" takes X of shape (n, features) for signals where its columns have no names and
        neighbouring values correlate as those of curves do, else for a table; X of shape (n, length, channels) or
        (n, channels, length), with at most 4 channels, for signals; all others for images.
    scaling : {"auto", "range", "standard"}, default="auto"
        "range" maps one range to [0, 1], or the range of each channel where channels are in units of their own;
        "standard" standardises each column. "auto": standard for tables.
    column_kinds : dict of str, optional
        Kinds of a table's columns by name, where the guess is wrong: "number", "category", "ordinal:low<middle<high",
        "date", "ignore".
    missing_values : sequence, default=()
        Values of a table that stand for a missing cell, as in (-999,), beside NaN, None and the usual texts ("?", ...).
    missing_columns : {"refuse", "fill"}, default="refuse"
        What to do with a table that lacks columns of the training data: "fill" treats their cells as missing, with a
        warning.
    channel_axis : int, "auto" or None, default="auto"
        Axis of X with the channels. "auto": where X has 4 or more dimensions, the last one if it is at most 4 long,
        else axis 1 if that is.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of matrix products in training. Encoding and decoding are always in float32.
    device : str or torch.device, default="auto"
        "auto" takes CUDA, then Apple's GPU, then the CPU.
    random_state : int, NumPy generator or None, default=None
        Seed of all random numbers; None draws one from the operating system.
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    network_ : AutoEncoderNetwork, the torch module
    network_spec_ : NetworkSpec or None for modules of your own
    training_spec_ : TrainingSpec
    scaler_ : Scaler, between the user's units and those of the network
    code_shape_ : tuple of int, the shape of one code: (latent_dim,) unless it is spatial
    rows_ : RowDensity, what rows of a table with columns of any kind are drawn from; None for other data
    deviations_ : array, of the errors of a table's features after training; for tables with columns of any kind
    history_ : list of dict, the run's losses in order; validation_loss is None in entries between validations
    seconds_ : float, time of training
    interrupted_ : int, number of the signal that ended the run early (2 for Ctrl-C, 15 for SIGTERM), 0 if none did
    seed_ : int, the seed that was used
    n_features_in_ : int, columns of a table; feature_names_in_ : array of str (n_features_in_,), where they have names

    Examples
    --------
    >>> from isthmus import AutoEncoder, datasets
    >>> X = datasets.load("digits").train.images
    >>> autoencoder = AutoEncoder(latent_dim=8, epochs=2, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (1500, 8)
    >>> autoencoder.reconstruct(X).dtype
    dtype('uint8')
    """

    def __init__(
        self,
        latent_dim: int | Literal["auto"] = "auto",
        *,
        network: Literal["auto"] | NetworkName | tuple[nn.Module, nn.Module] = "auto",
        latent_channels: int | None = None,
        hidden: Sequence[int] | None = None,
        channels: Sequence[int] | None = None,
        kernel_size: int = 3,
        factor: int = 2,
        activation: ActivationName = "silu",
        downsample: DownsamplingName = "stride",
        upsample: UpsamplingName = "nearest",
        bottleneck: str = "plain",
        objective: str | Mapping[str, float] = "mse",
        corruption: str | None = None,
        consistency: str | None = None,
        epochs: int | None = None,
        minutes: float | None = None,
        batch_size: int | None = None,
        optimizer: Literal["auto"] | OptimizerName = "auto",
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        gradient_clip: float | None = 1.0,
        patience: int | None = None,
        validation_fraction: float = 0.1,
        kind: SampleKindName = "auto",
        scaling: ScalingName = "auto",
        column_kinds: Mapping[str, str] | None = None,
        missing_values: Sequence[Any] = (),
        missing_columns: MissingColumns = "refuse",
        channel_axis: ChannelAxis = "auto",
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.latent_dim = latent_dim
        self.network = network
        self.latent_channels = latent_channels
        self.hidden = hidden
        self.channels = channels
        self.kernel_size = kernel_size
        self.factor = factor
        self.activation = activation
        self.downsample = downsample
        self.upsample = upsample
        self.bottleneck = bottleneck
        self.objective = objective
        self.corruption = corruption
        self.consistency = consistency
        self.epochs = epochs
        self.minutes = minutes
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.kind = kind
        self.scaling = scaling
        self.column_kinds = column_kinds
        self.missing_values = missing_values
        self.missing_columns = missing_columns
        self.channel_axis = channel_axis
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    # Training

    @anywhere
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        checkpoint_seconds: float = 15.0,
        listeners: Sequence[Listener] = (),
    ) -> Self:
        """Train on X.

        X : array of shape (n_samples, ...), torch tensor, DataFrame, path, name of a data set or Source.
        y : ignored. checkpoint : file that is rewritten every `checkpoint_seconds` and at the end of every epoch.
        resume : continue from that file, to the same weights that the uninterrupted run would have had.
        listeners : called with every `Event` of the run.

        Ctrl-C and SIGTERM end the run and keep the best weights so far.
        """
        run = Run.of(
            self, listeners=listeners, checkpoint=checkpoint, resume=resume, checkpoint_seconds=checkpoint_seconds
        )
        source = self._open(X, reset=True)
        validation = run.held_out(len(source), self._n_validation(len(source)))
        self._prepare(source, run.seed, run.device)
        spec = training_spec(self, self.network_spec_, len(source) - len(validation), run.device)
        self._task = reconstruction_task(self.network_, spec, self.code_shape_, self._table_objective())
        self._optimizers = None
        feed = SourceFeed(source, self.scaler_, run.device)
        if isinstance(source, TableSource) and spec.minutes is not None:
            spec = replace(spec, minutes=(1 - ROWS_SHARE) * spec.minutes)
        self._keep(run.train(self._task, feed, spec, validation, digest(source)))
        self._measure_deviations(source, validation)
        self._remember(source, validation if len(validation) else np.arange(len(source)))
        self.rows_ = None
        if isinstance(source, TableSource):
            self._fit_rows(run, source, spec, validation)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """One epoch over X at a constant learning rate, continuing from what was learned so far.

        The first call fixes the network and the scaling; X of later calls must be of the same kind.
        """
        first = not hasattr(self, "network_")
        source = self._open(X, reset=first)
        if first:
            device = choose_device(self.device)
            self._prepare(source, seed_from(self.random_state), device)
            self.training_spec_ = training_spec(self, self.network_spec_, len(source), device)
            self.history_ = []
        device = self._place()
        assert self.training_spec_ is not None
        spec = replace(self.training_spec_, epochs=1, minutes=None, seed=self.seed_ + len(self.history_))
        if self._task is None:
            self._task = reconstruction_task(
                self.network_, self.training_spec_, self.code_shape_, self._table_objective()
            )
        feed = SourceFeed(source, self.scaler_, device)
        trainer = Trainer(
            self._task, feed, spec, validation=np.arange(0), schedule=constant, optimizers=self._optimizers
        )
        trainer.run()
        self._optimizers = trainer.optimizers
        self.history_ = [*self.history_, trainer.position.history[-1] | {"epoch": len(self.history_) + 1}]
        self._measure_deviations(source, np.arange(0))
        return self

    _task: Task | None = None  # kept, with the optimizers' states, for `partial_fit` to continue
    _optimizers: list[torch.optim.Optimizer] | None = None

    def _table_objective(self) -> TableObjective | None:
        return TableObjective(self.scaler_) if isinstance(self.scaler_, TableScaler) else None

    def _measure_deviations(self, source: Source, validation: np.ndarray) -> None:
        """Errors of a table's cells, which `score_samples` needs: on rows held out, where there are some."""
        if isinstance(source, TableSource) and isinstance(self.scaler_, TableScaler):
            self.network_.eval()
            rows = subset(source, validation) if len(validation) else spread_samples(source, _MOST_VALIDATION)
            self.deviations_ = residual_deviations(self.scaler_, self._reconstructions(rows))

    def _n_validation(self, n_samples: int) -> int:
        """How many samples validate."""
        fraction = self.validation_fraction
        if not (is_real(fraction) and 0 <= fraction < 1):
            raise IsthmusError(f"validation_fraction (={fraction!r}) must be a number of at least 0 and below 1")
        return min(_MOST_VALIDATION, int(fraction * n_samples))

    def _prepare(self, source: Source, seed: int, device: torch.device) -> None:
        """Resolve every choice that the user left open, measure the scaling and build the network."""
        self.seed_ = seed
        objective = Objective(self.objective)
        if isinstance(source, TableSource):
            self._prepare_table(source, seed, device)
            return
        self.scaler_ = scaler_of(self, source)
        self._check_objective(objective)
        if not isinstance(self.network, str):
            network, spec = self._wrapped(), None
            check_trainable(network)
        else:
            size = latent_dim(self, source)
            ends = objective.output if objective.output == "sigmoid" else output(self, source, size)
            spec = network_spec(self, self.scaler_.network_shape, size, ends)
            network = build(spec, seed)
        self._adopt(network, spec, device)

    def _table(self, X: Any, *, reset: bool) -> Source | None:
        if not reset:
            return super()._table(X, reset=False)
        table = open_table_to_learn(X, self.column_kinds, self.missing_values)
        if isinstance(table, TableSource):
            names = [column.name for column in table.schema.columns]
            self.n_features_in_, self.feature_names_in_ = len(names), np.asarray(names, object)
        return table

    def _prepare_table(self, source: TableSource, seed: int, device: torch.device) -> None:
        """The scaling and the network for a table with columns of any kind."""
        if self.objective not in ("mse", {"mse": 1.0}) or not isinstance(self.network, str) or self.network == "conv":
            raise IsthmusError(
                f"objective (={self.objective!r}) and network (={self.network!r}) are for numbers; a table with "
                f"columns of several kinds has a cost for each kind and a dense network: leave both out"
            )
        self.scaler_ = TableScaler.of(source.schema, source.frame)
        spec = network_spec(self, self.scaler_.network_shape, latent_dim(self, source), "linear")
        self._adopt(build(spec, seed), spec, device)

    def _check_objective(self, objective: Objective) -> None:
        if objective.needs_images and self.scaler_.flat:
            raise IsthmusError(
                f"objective {self.objective!r} compares images; a dense network needs mse, mae or the like"
            )
        if objective.output == "sigmoid" and self.scaler_.kind == "standard":
            raise IsthmusError(
                f"objective {self.objective!r} takes values from 0 to 1, not standardised columns: set scaling='range'"
            )

    def _wrapped(self) -> AutoEncoderNetwork:
        """The user's own modules (encoder, decoder) as a network: a copy of the pair."""
        name: object = self.network
        if name == "custom":  # of a model that was loaded
            raise IsthmusError("this model was made of modules of your own; load it with network=(encoder, decoder)")
        if not (isinstance(self.network, tuple | list) and len(self.network) == 2):
            raise IsthmusError(f"network (={self.network!r}) must be a name or a pair (encoder, decoder)")
        ends = Objective(self.objective).output
        return wrap(*self.network, self.bottleneck, self.scaler_.network_shape, ends, self.seed_)

    def __sklearn_clone__(self) -> Self:
        """scikit-learn would copy encoder and decoder one after the other, and so untie weights that they share."""
        clone: Self = super().__sklearn_clone__()
        clone.network = copy.deepcopy(self.network)
        return clone

    def _json_params(self, params: dict[str, Any]) -> dict[str, Any]:
        return params if isinstance(self.network, str) else {**params, "network": "custom"}
