"""The story of one request: admit, route, lease, call, relay, settle."""

from dragoman.gateway.call import Call, Out
from dragoman.gateway.gateway import Gateway

__all__ = ["Call", "Gateway", "Out"]
