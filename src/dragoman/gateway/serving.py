"""What one config gives: the names that can be asked for, and the accounts behind them."""

from dragoman import config
from dragoman.accounts.leases import Leases
from dragoman.accounts.pool import Pool
from dragoman.catalog.directory import Directory
from dragoman.catalog.prices import Price, PriceBook, Speech
from dragoman.gateway.attempts import Attempts
from dragoman.gateway.lines import Lines
from dragoman.gateway.offers import Offers
from dragoman.gateway.router import Router
from dragoman.gateway.shadows import Shadows
from dragoman.gateway.wards import Wards
from dragoman.wire.client import Client


class Serving:
    """Immutable but for the accounts' state. A reload makes a new one; requests keep the one they began with."""

    def __init__(
        self, settings: config.Config, client: Client, leases: Leases, former: "Serving | None" = None
    ) -> None:
        """Raises `ConfigError`, and then nothing has changed."""
        self.settings = settings
        self._prices = PriceBook(settings)
        self.directory = Directory(settings, self._prices)
        self.pool = Pool(settings, self.directory, leases, self.price)
        self.router: Router = Router(settings, self.directory, self._prices, former.router if former else None)
        self.wards = Wards(self.pool)
        self.shadows: Shadows = Shadows(settings, self.pool, self.wards, former.shadows if former else None)
        self.offers = Offers(client, self.pool)
        self.attempts = Attempts(client, self.pool, settings.server)
        self.lines = Lines(client, self.pool, self.attempts, settings.server)
        self.pool.open(former.pool if former is not None else None)

    def price(self, target: str) -> Price | None:
        """What `provider/model-id` costs now; None where nobody knows."""
        provider, _, model = target.partition("/")
        return self._prices.find(provider, model)

    def speech_price(self, target: str) -> Speech:
        """What `provider/model-id` costs by the second heard and the character said, so far as known."""
        provider, _, model = target.partition("/")
        return self._prices.speech(provider, model)
