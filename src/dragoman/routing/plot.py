"""The cost-quality curve as SVG: the router between the best mix by lot and what perfect foresight could do."""

from collections.abc import Iterable, Sequence
from html import escape

from dragoman.routing.evaluate import Curves, Point

WIDTH, HEIGHT = 760, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 50, 60
_FONT = 'font-family="sans-serif"'
_LINES = {"oracle": ("#9a9a9a", "2 3"), "hull": ("#c77700", "6 4"), "router": ("#1f5fbf", "")}


class _Frame:
    """From dollars and quality to places on the page."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.cost = max(point.cost for point in points) * 1.05 or 1.0
        low, high = min(point.quality for point in points), max(point.quality for point in points)
        room = (high - low) * 0.08 or 0.05
        self.low, self.high = max(0.0, low - room), min(1.0, high + room)

    def place(self, point: Point) -> tuple[float, float]:
        across = point.cost / self.cost
        up = (point.quality - self.low) / (self.high - self.low)
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)


def draw(curves: Curves, title: str) -> str:
    """The drawing. Costs are of a thousand questions."""
    lines = {"oracle": curves.oracle, "hull": curves.hull, "router": curves.router}
    frame = _Frame([*curves.singles.values(), *curves.router, *curves.oracle, curves.random])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {_FONT} font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="28" font-size="15">{escape(title)}</text>',
        *_axes(frame),
    ]
    for number, (name, points) in enumerate(lines.items()):
        colour, dash = _LINES[name]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(frame.place, points))
        stroke = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{path}" fill="none" {stroke}/>')
        y = _TOP + 14 + 18 * number
        x = WIDTH - _RIGHT + 12
        parts.append(f'<line x1="{x}" y1="{y - 4}" x2="{x + 22}" y2="{y - 4}" {stroke}/>')
        parts.append(f'<text x="{x + 28}" y="{y}">{name}</text>')
    parts += _dots(frame, {**curves.singles, "(by lot)": curves.random}.items())
    return "\n".join([*parts, "</svg>\n"])


def _axes(frame: _Frame) -> Iterable[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    yield f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="#444"/>'
    for part in range(5):
        cost, quality = frame.cost * part / 4, frame.low + (frame.high - frame.low) * part / 4
        x, _ = frame.place(Point(cost, frame.low))
        _, y = frame.place(Point(0, quality))
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">${cost * 1000:.3g}</text>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{quality:.2f}</text>'
    across, up = (_LEFT + right) / 2, (_TOP + bottom) / 2
    yield f'<text x="{across}" y="{HEIGHT - 16}" text-anchor="middle">cost of a thousand questions</text>'
    yield f'<text x="18" y="{up}" transform="rotate(-90 18 {up})" text-anchor="middle">mean quality</text>'


def _dots(frame: _Frame, points: Iterable[tuple[str, Point]]) -> Iterable[str]:
    for name, point in points:
        x, y = frame.place(point)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#333"><title>{escape(name)}</title></circle>'
        yield f'<text x="{x + 6:.1f}" y="{y + 4:.1f}" font-size="10" fill="#333">{escape(name)}</text>'
