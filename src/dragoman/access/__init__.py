"""Who may: gateway keys, what each may ask for, how often, and for how much money."""

from dragoman.access.keys import KeyBook
from dragoman.access.limits import Limiter, Refused
from dragoman.access.principal import Principal

__all__ = ["KeyBook", "Limiter", "Principal", "Refused"]
