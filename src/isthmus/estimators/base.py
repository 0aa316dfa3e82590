"""The contract of every estimator: what a run leaves, a folder on disk, a description."""

from __future__ import annotations

import functools
import inspect
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar, get_type_hints

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from isthmus.errors import IsthmusError, unknown_name
from isthmus.estimators.card import model_card, what_of
from isthmus.estimators.model_folder import StoredModel, best_validation, complete_model, load_model, save_model
from isthmus.registry import BackendName, backends
from isthmus.remote.hub import pinned
from isthmus.remote.paths import as_path
from isthmus.spec import TrainingSpec, to_json
from isthmus.typed_json import typed
from isthmus.words import count

if TYPE_CHECKING:  # a codec without loss reads archives where there is no torch
    from torch import nn

    from isthmus.evaluation.figures.style import Plate
    from isthmus.training.progress import Listener
    from isthmus.training.run import Trained


E = TypeVar("E", bound="Estimator")
E_co = TypeVar("E_co", bound="Estimator", covariant=True)
LOCAL: BackendName = "local"


class Fitting(Protocol[E_co]):
    """How every `fit` is called."""

    def __call__(
        self,
        X: Any,
        y: Any = None,
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        checkpoint_seconds: float = 15.0,
        listeners: Sequence[Listener] = (),
        backend: BackendName = "local",
        workers: int | None = None,
        address: str | None = None,
    ) -> E_co: ...


class Fit(Protocol):
    """The type of a method `fit` that gives back its estimator."""

    def __get__(self, instance: E, owner: type[E] | None = None) -> Fitting[E]: ...


def anywhere(fit: Callable[..., Any]) -> Fit:
    """Decorator of every `fit`: with ``backend="ray"`` the workers of a cluster do the work together.

    It adds three options: backend, "local" or a name of `registry.backends`; workers, how many; address, that of the
    cluster. The results equal those of one process, to rounding.
    """

    @functools.wraps(fit)
    def on_backend(
        self: Any,
        X: Any,
        y: Any = None,
        *,
        backend: BackendName = LOCAL,
        workers: int | None = None,
        address: str | None = None,
        **options: Any,
    ) -> Any:
        if backend != LOCAL:
            if backend not in backends:
                raise unknown_name("backend", backend, (LOCAL, *backends))
            fitted = backends[backend](self, X, y, workers=workers, address=address, **options)
        elif workers is not None or address is not None:
            raise IsthmusError(f"workers (={workers}) and address (={address!r}) need backend='ray'")
        else:
            fitted = fit(self, X, y, **options)
        fitted._trained_on_ = what_of(X)
        return fitted

    given, ours = inspect.signature(fit), inspect.signature(on_backend, follow_wrapped=False)
    added = [ours.parameters[name] for name in ("backend", "workers", "address")]
    signature = given.replace(parameters=[*given.parameters.values(), *added])
    decorated: Any = on_backend
    decorated.__signature__ = signature  # what help() and scikit-learn read
    found: Fit = decorated
    return found


class Estimator(BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn has no types
    """Base of the estimators. Subclasses define `__init__`, `fit`, and what is kept of a trained model:

    `_config` and `_tensors` for its folder, `_restore` for loading, `_describe` for people.
    """

    device: Any
    history_: list[dict[str, Any]]
    training_spec_: TrainingSpec | None = None
    seed_: int
    seconds_: float = 0.0
    interrupted_: int = 0
    _trained_on_: str | None = None  # in words
    follows_ = False  # another process, which trained together with this one, writes the model
    _usage: ClassVar[str]  # lines of Python that the model card shows

    def _keep(self, trained: Trained) -> None:
        """What a run leaves, as attributes."""
        self.training_spec_, self.history_ = trained.spec, trained.history
        self.seconds_, self.interrupted_, self.follows_ = trained.seconds, trained.signal, trained.follows

    def save(self, folder: str | Path) -> Path:
        """Write the model to a folder: config.json, model-DIGEST.safetensors, training.jsonl, README.md. No pickle.

        Returns the folder. Raises IsthmusError where it is a file or holds something that is no model. Of processes
        that trained together the first one writes.
        """
        check_is_fitted(self)
        if self.follows_:
            return as_path(folder)
        params = {**self.get_params(deep=False), "device": str(self.device), "random_state": self.seed_}
        training = None if self.training_spec_ is None else self.training_spec_.to_dict()
        config = {
            "params": self._json_params(params),
            "training": training,
            "trained_on": self._trained_on_,
            "seed": self.seed_,
            "seconds": self.seconds_,
            "description": self.describe(),
            **self._config(),
        }
        stored = StoredModel(type(self).__name__, to_json(config), self._tensors(), self.history_)
        return save_model(folder, stored, self._card(as_path(folder).name))

    def push_to_hub(self, name: str, *, private: bool = False, token: str | None = None) -> str:
        """Push the model to the Hugging Face Hub (extra [hub]), to be read with ``isthmus.load("hf://user/name")``.

        name : "user/name"; the repository is created where there is none. private : whether only its owner sees it.
        token : a write token, by default HF_TOKEN or that of ``hf auth login``; it is neither stored nor shown.
        Returns the address of the commit, "hf://user/name@commit". Raises IsthmusError where it cannot be written.
        """
        from isthmus.estimators.sharing import push_model

        with tempfile.TemporaryDirectory(prefix="isthmus-push-") as place:
            folder = self.save(Path(place, name.rpartition("/")[2] or "model"))
            return push_model(folder, name, private=private, token=token)

    @classmethod
    def load(
        cls, folder: str | Path, *, device: Any = "auto", network: tuple[nn.Module, nn.Module] | None = None
    ) -> Self:
        """Read a model that `save` wrote; nothing in the folder is executed.

        network : the modules (encoder, decoder) again, for a model that was made of modules of your own.
        Raises IsthmusError where the folder is absent, damaged, or another estimator's.
        """
        folder = pinned(as_path(folder))
        stored = load_model(folder, cls.__name__)
        config = stored.config
        with complete_model(folder):
            params = {**_typed_params(cls, config["params"]), "device": device, "verbose": False}
            if network is not None:
                if "network" not in params:
                    raise IsthmusError(f"a {cls.__name__} is not made of modules of your own; load it without network=")
                params["network"] = network
            model = cls(**params)
            if config["training"] is not None:
                model.training_spec_ = TrainingSpec.from_dict(config["training"])
            model._trained_on_ = typed(config.get("trained_on"), str | None, "trained_on")
            model.seed_ = typed(config.get("seed", model.get_params()["random_state"]), int, "seed")
            model.seconds_ = typed(config["seconds"], float, "seconds")
            model.history_ = [dict(entry) for entry in stored.history]
            model._restore(config, stored.tensors)
        return model

    def _restore_names(self, names: Any) -> None:
        """The columns' names, where the configuration has any."""
        if typed(names, list[str] | None, "feature_names") is not None:
            self.feature_names_in_ = np.asarray(names, object)

    def describe(self) -> dict[str, str]:
        """The model in words: what it is and how it was trained, a row for each."""
        check_is_fitted(self)
        rows = self._describe()
        if self._trained_on_ is not None:
            rows["trained on"] = self._trained_on_
        training = self.training_spec_
        if training is not None:
            rows["training"] = (
                f"{training.optimizer}, learning rate {training.learning_rate:g}, batches of {training.batch_size}, "
                f"{training.precision}, {self.seconds_:.1f} s"
            )
        last = self.history_[-1] if self.history_ else {}
        if {"step", "epoch"} <= last.keys():
            rows["run"] = f"{count(last['step'], 'step')}, {count(last['epoch'], 'epoch')}"
        rows["seed"] = str(self.seed_)
        best = best_validation(self.history_)
        if best is not None:
            rows["best validation"] = self._validation(best)
        return rows

    def _html_repr(self) -> str:
        """What notebooks show: of a fitted model a card, else scikit-learn's diagram."""
        try:
            check_is_fitted(self)
        except NotFittedError:
            diagram: str = super()._html_repr()
            return diagram
        from isthmus.evaluation.notebook import model_card  # figures are slow to import

        return model_card(type(self).__name__, self.describe(), self.history_, self._portrait(), repr(self))

    def _portrait(self) -> Plate | None:
        """A figure of what the model does to a few samples, where it remembers some; None where not."""
        return None

    def _json_params(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters, of which all must be JSON."""
        return params

    def _validation(self, best: float) -> str:
        """The best validation loss with its unit."""
        return f"{best:.6g}"

    def _card(self, name: str) -> str:
        """The model card: what somebody who finds the folder needs to know."""
        best = best_validation(self.history_)
        return model_card(name, type(self).__name__, self.describe(), self._usage, self._trained_on_, best)

    @abstractmethod
    def _describe(self) -> dict[str, str]:
        """What the model is, in words."""

    @abstractmethod
    def _config(self) -> dict[str, Any]:
        """What its folder holds beside parameters and training, as JSON values."""

    @abstractmethod
    def _tensors(self) -> Mapping[str, np.ndarray]:
        """The arrays of its folder, by name."""

    @abstractmethod
    def _restore(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        """Become what `_config` and `_tensors` describe."""


def _typed_params(kind: type[Estimator], params: Any) -> dict[str, Any]:
    """The parameters of a configuration, each of the type that `__init__` says; IsthmusError for others."""
    torch = SimpleNamespace(nn=SimpleNamespace(Module=Any), device=Any)  # as JSON holds neither, they are not checked
    hints = get_type_hints(kind.__init__, localns={"torch": torch, "nn": torch.nn})
    read: dict[str, Any] = typed(params, Mapping[str, Any], "params")
    for name in read:
        if name not in kind._get_param_names():
            raise unknown_name(f"parameter of {kind.__name__}", name, kind._get_param_names())
    return {name: typed(value, hints.get(name, Any), f"params: {name}") for name, value in read.items()}
