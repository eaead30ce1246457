"""Policies: contracts, files and loaders; heavy packages load only where a file needs them.

>>> from sim2real import policies
>>> policies.scripted(policies.zero).label
'zero'
"""

from sim2real.policies.balance import balance
from sim2real.policies.binding import BoundPolicy, ContractBinding, Policy
from sim2real.policies.builtin import hold, random, zero
from sim2real.policies.contract import Contract, Term
from sim2real.policies.crouch import crouch
from sim2real.policies.expert import expert
from sim2real.policies.files import PolicyFile, file, glob, scripted
from sim2real.policies.gait import gait
from sim2real.policies.native import Mlp, save
from sim2real.policies.servo import servo

__all__ = [
    "BoundPolicy", "Contract", "ContractBinding", "Mlp", "Policy", "PolicyFile", "Term",
    "balance", "crouch", "expert", "file", "gait", "glob", "hold", "random", "save", "scripted", "servo",
    "zero",
]  # fmt: skip
