"""The table of parameters an environment exposes: what there is, what it is now, and how it is changed."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from sim2real.perturb.parameters import NO_GROUPS, Groups, Parameter
from sim2real.simulation.plausible import described
from sim2real.wrappers.parameters import Reader, Setter, Table


class ParameterTable(Table):
    """Named parameters with their current values and plausible ranges.

    Args:
        impossible: names of parameters that are not to be added, and a sentence that says why.
    """

    groups: Groups = NO_GROUPS
    """Parts of the robot that a pattern may name together; whoever knows them sets it."""

    def __init__(self, impossible: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__()
        self.impossible = impossible

    def add(self, name: str, spec: Parameter, setter: Setter, reader: Reader | None = None) -> None:
        """Register a parameter; ``setter`` makes a new value act (or notes it, where ``spec.live`` is False).

        One without a plausible range gets that of `sim2real.simulation.plausible.RANGES`.
        """
        if name not in self.impossible:
            super().add(name, described(name, spec), setter, reader)

    def leave_out(self, parts: Collection[str], but: Collection[str] = ()) -> None:
        """Forget the parameters of parts on which they would not act, but for those whose last word is told."""
        for name in list(self._specs):
            part, _, last = name.rpartition(".")
            if part in parts and last not in but:
                del self._specs[name], self._values[name], self._setters[name]

    def renominate(self, name: str, nominal: float) -> None:
        """Give a parameter another nominal value, the plausible range that goes with it, and set it to that."""
        bare = replace(self._specs[name], nominal=nominal, plausible=None, source="")
        self._specs[name] = described(name, bare)
        self.set(name, nominal)
