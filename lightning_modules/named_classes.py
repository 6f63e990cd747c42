"""Modules that know what their classes are called.

K classes.
"""

import lightning as L

from lightning_modules import data_contract
from networks.class_names import ClassNames


class NamedClasses(L.LightningModule):
    """Its checkpoint carries the names that the training data gave its classes.

    Attributes:
        names: that are known, assigned by the constructor; `hparams` has `num_classes`, K, or 0 for a module that knows
            no classes.
    """

    names: ClassNames

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the training data; numbers where the data named none."""
        return self.names.names or tuple(str(number) for number in range(self.hparams.get("num_classes") or 1))

    def take_class_names(self, stage: str) -> None:
        """Take the names from the data, to be called by `setup`.

        Raises ValueError where the data have the known names in another order.
        """
        names = data_contract.class_names(self)
        if names is not None:
            self.names.adopt(names, training=stage == "fit")
