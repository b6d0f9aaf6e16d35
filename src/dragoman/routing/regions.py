"""Whether an account's region is in the region that a caller asked for: the clouds name the same places differently."""

import re

_AREAS = {  # a word for an area: what regions in it look like at AWS, Google Cloud, Azure
    "us": re.compile(r"us$|us-.*|(east|west|central|northcentral|southcentral|westcentral)us\d?"),
    "eu": re.compile(
        r"eu$|eu-.*|europe-(?!west[26]).*|(north|west)europe"
        r"|(france|germany|sweden|poland|italy|spain|austria|belgium|denmark|finland)\w*"
    ),
    "uk": re.compile(r"uk$|uk(south|west)|eu-west-2|europe-west2"),
    "asia": re.compile(r"asia$|asia-.*|ap-.*|(east|southeast)asia|japan\w*|korea\w*|(\w+)india"),
}
_NOT_EU = re.compile(r"eu-west-2|eu-central-2|europe-west[26]$")  # London and Zurich


def within(region: str | None, wanted: str) -> bool:
    """Whether `region` is `wanted` or lies in it: `eu` takes `eu-west-1`, `europe-west4`, `swedencentral`. A region
    that nobody declared lies nowhere."""
    if region is None:
        return False
    region, wanted = region.lower(), wanted.lower()
    if region == wanted or region.startswith(wanted + "-"):
        return not (wanted == "eu" and _NOT_EU.match(region))
    area = _AREAS.get(wanted)
    return area is not None and bool(area.fullmatch(region)) and not (wanted == "eu" and _NOT_EU.match(region))
