"""What a route names in the config, read and checked: artifact, certificate, constraints, its shadows' judge."""

from importlib import import_module
from pathlib import Path

import msgspec

from dragoman import config
from dragoman.catalog.directory import Directory
from dragoman.catalog.prices import PriceBook
from dragoman.dialects.fields import Malformed
from dragoman.routing.certificate import Certificate, read_certificate
from dragoman.routing.constraints import Constraints, of_route
from dragoman.routing.estimate import Predictor


def predictor_of(route: config.Route, priors: Predictor) -> Predictor:
    """The route's artifact, read by a module that is loaded only then: it needs numpy, and 30 MB."""
    if route.artifact is None:
        return priors
    try:
        made: Predictor = import_module("dragoman.routing.predictor").load(Path(route.artifact), priors)
    except (OSError, RuntimeError, ModuleNotFoundError) as error:
        mend = ": pip install 'dragoman[router]'" if isinstance(error, ModuleNotFoundError) else ""
        raise config.ConfigError(f'routes "{route.name}": artifact: {route.artifact}: {error}{mend}') from None
    return made


def certificate_of(route: config.Route, predictor: Predictor) -> Certificate | None:
    """A tested threshold holds only for the predictions that it was tested on."""
    if route.certificate is None:
        return None
    where = f'routes "{route.name}": certificate: {route.certificate}: '
    try:
        found = read_certificate(Path(route.certificate).read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise config.ConfigError(f"{where}{error}") from None
    if found.threshold is not None and found.artifact is not None and found.artifact != predictor.name:
        raise config.ConfigError(
            f'{where}it was made with "{found.artifact}", the route predicts with "{predictor.name}": certify anew'
        )
    return found


def check_judge(route: config.Route, names: Directory, prices: PriceBook) -> None:
    """The budget of shadow calls depends on what their judge costs. Raises `ConfigError` where nobody knows."""
    judge = route.shadow.judge if route.shadow is not None else None
    if judge is None:
        return
    model = names.find(judge)
    targets = [target for tier in model.tiers for target in tier] if model is not None else []
    if not targets or any(prices.find(each.provider.name, each.model) is None for each in targets):
        raise config.ConfigError(
            f'routes "{route.name}": shadow.judge: the price of "{judge}" is not known, and usd_per_day depends on it: '
            "set price in [[models]]"
        )


def defaults_of(route: config.Route) -> Constraints:
    """The constraints of requests that say nothing. Raises `ConfigError`."""
    try:
        return of_route(route)
    except Malformed as error:
        raise config.ConfigError(str(error)) from None
