"""Who a gateway key or a token stands for, and what that one may."""

from msgspec import Struct

from dragoman.accounts.periods import Period


class Principal(Struct, frozen=True, kw_only=True):
    """`budget` is pico-dollars per `period` (None: for the key's whole life); periods are UTC's. `rpm`, `tpm`: requests
    and tokens in any 60 seconds. `models`: the names (models, routes, provider/model-id) that may be asked for; None:
    all. `expires` is Unix seconds. `priority`: whose calls wait is served by; a lower number goes first. `signed_in`:
    with a token of an issuer, not with a gateway key."""

    id: str
    name: str = ""
    admin: bool = False
    models: frozenset[str] | None = None
    rpm: int | None = None
    tpm: int | None = None
    budget: int | None = None
    period: Period | None = None
    expires: float | None = None
    priority: int = 1
    signed_in: bool = False

    def allows(self, model: str) -> bool:
        return self.models is None or model in self.models
