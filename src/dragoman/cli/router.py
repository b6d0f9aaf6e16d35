"""`dragoman router`: what the router learns from, what it expects, and what that is worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
import typer

from dragoman.cli.out import print_json, print_table
from dragoman.cli.settings import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dragoman.routing.evaluate import Measure
    from dragoman.routing.predictor import Trained

app = typer.Typer(help="Train, score, evaluate and certify the router's predictor.", no_args_is_help=True)

ArtifactFile = Annotated[
    Path, typer.Argument(metavar="ARTIFACT", help='From `dragoman router train`; "default" is the one that is shipped.')
]
Seed = Annotated[int, typer.Option(help="The same seed and files give the same result.", min=0)]


@app.callback()
def _group() -> None:
    """Train, score, evaluate and certify the router's predictor."""


@app.command()
def train(
    sources: Annotated[list[Path], typer.Argument(metavar="OUTCOMES...", help="Outcomes files: JSON lines, or .gz.")],
    out: Annotated[Path, typer.Option("--out", metavar="ARTIFACT", help="Where to write what was learned.")],
    seed: Seed = 0,
) -> None:
    """Learn from outcomes which model does well with what."""
    from dragoman.routing import lexicon, outcomes
    from dragoman.routing.artifact import unpack
    from dragoman.routing.predictor import KIND, Trained

    rows = outcomes.answered(sources)
    try:
        import scipy.optimize  # noqa: F401

        from dragoman.routing.train import train as learn
    except ImportError:
        _refuse("training needs scipy: install dragoman[train]")
    data = learn(rows, lexicon.shipped(), seed)
    trained = Trained(unpack(data, KIND, str(out)), lexicon.shipped())
    out.write_bytes(data)
    typer.echo(f"{out}: {trained.name}, {len(rows):,} questions, {len(trained.models)} models, {len(data):,} bytes")


@app.command()
def score(
    artifact: ArtifactFile,
    queries: Annotated[Path, typer.Argument(metavar="QUERIES", help='Lines of {"id": …, "prompt": …}.')],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write; - prints.")],
) -> None:
    """Write what every model is expected to do with every query, one JSON object a line."""
    from dragoman.routing import outcomes
    from dragoman.routing.estimate import Query

    trained = _load(artifact)
    models = trained.models
    lines = []
    for question in outcomes.questions(queries):
        found = trained.predict(Query(prompt=question.prompt, task=question.task, category=question.category), models)
        known = {
            model: {key: value for key, value in msgspec.to_builtins(estimate).items() if value is not None}
            for model, estimate in found.candidates.items()
        }
        lines.append(msgspec.json.encode({"id": question.id, "novelty": found.novelty, "candidates": known}))
    text = b"\n".join([*lines, b""])
    if str(out) == "-":
        typer.echo(text.decode(), nl=False)
    else:
        out.write_bytes(text)


@app.command("eval")
def evaluate(
    *,
    artifact: ArtifactFile,
    source: Annotated[Path, typer.Argument(metavar="OUTCOMES", help="Outcomes that it was not trained on.")],
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the cost-quality curve.")] = None,
    strong: Annotated[str | None, typer.Option(help="Of the pair. Default: the best in the file.")] = None,
    weak: Annotated[str | None, typer.Option(help="Of the pair. Default: the worst in the file.")] = None,
    price: Annotated[
        list[str] | None, typer.Option(metavar="MODEL=USD", help="For a million output tokens. May be repeated.")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What the predictor is worth: the cost-quality curve, APGR, CPT50, CPT80, the saving at 99 % of best quality."""
    from dragoman.routing import outcomes
    from dragoman.routing.report import report

    rows = outcomes.answered([source])
    found = report(_load(artifact), rows, strong=strong, weak=weak, prices=_prices(price or []), seed=seed)
    if plot:
        from dragoman.routing.plot import draw

        if found.curves is None:
            _refuse(f"{source}: no curve without costs: {found.remarks[-1]}")
        plot.write_text(draw(found.curves, f"{source.name}, {len(rows):,} questions"))
    if as_json:
        print_json(found)
        return
    columns = ["measure", "router", "95 % interval", "by lot", "best single or mix", "oracle"]
    beside = (found.beside.random, found.beside.best_single, found.beside.oracle)
    lines: list[Sequence[object]] = []
    if found.pair:
        pair = found.pair
        lines.append(("APGR", *_shown(pair.apgr), "0.500", "", f"{pair.oracle_apgr:.3f}"))
        lines += [("CPT50", *_shown(pair.cpt50), "0.500"), ("CPT80", *_shown(pair.cpt80), "0.800")]
    if found.savings:
        saved = found.savings
        rest = (f"{value:.3f}" for value in (saved.random, saved.hull, saved.oracle))
        lines.append(("saving at 99 % of best quality", *_shown(saved.router), *rest))
    lines.append(("quality of the first choice", *_shown(found.quality), *(f"{one:.3f}" for one in beside)))
    print_table(columns, [(*line, *[""] * (len(columns) - len(line))) for line in lines], right=columns[1:])
    for remark in found.remarks:
        typer.echo(f"  {remark}")


@app.command()
def certify(
    *,
    artifact: ArtifactFile,
    source: Annotated[Path, typer.Argument(metavar="OUTCOMES", help="Outcomes that it was not trained on.")],
    strong: Annotated[str, typer.Option(metavar="MODEL", help="Whose quality is the measure.")],
    weak: Annotated[str, typer.Option(metavar="MODEL", help="Who answers what it answers as well.")],
    epsilon: Annotated[float, typer.Option(help="Mean quality that may be lost, 0..1.", min=0, max=1)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the certificate; - prints.")],
    delta: Annotated[float, typer.Option(help="Chance of breaking the promise.", min=1e-6, max=0.5)] = 0.05,
) -> None:
    """Find the threshold that sends most to the weak model and was tested to keep a promised quality floor."""
    from dragoman.routing import outcomes
    from dragoman.routing.certify import certified

    trained = _load(artifact)
    rows = [row for row in outcomes.answered([source]) if strong in row.outcomes and weak in row.outcomes]
    if not rows:
        _refuse(f'{source}: no line has outcomes of both "{strong}" and "{weak}"')
    unknown = [model for model in (strong, weak) if model not in trained.models]
    if unknown:
        _refuse(f'{artifact}: knows nothing of "{unknown[0]}": it knows {", ".join(trained.models)}')
    found = certified(trained, rows, (strong, weak), epsilon, delta)
    text = msgspec.json.format(msgspec.json.encode(found)).decode()
    if str(out) == "-":
        typer.echo(text)
        return
    out.write_text(f"{text}\n")
    if found.threshold is None:
        more = f"; about {found.labels_needed:,} like these would do" if found.labels_needed else ""
        typer.echo(f"{out}: no threshold could be certified with {found.labels:,} labels{more}")
    else:
        typer.echo(f"{out}: threshold {found.threshold:.4f}, {found.weak_share:.1%} to {weak}, {found.labels:,} labels")


def _load(path: Path) -> "Trained":
    from dragoman.routing import predictor

    return predictor.default() if str(path) == "default" else predictor.load(path)


def _shown(measure: "Measure") -> tuple[str, str]:
    return f"{measure.value:.3f}", f"{measure.low:.3f} to {measure.high:.3f}"


def _prices(given: list[str]) -> dict[str, float]:
    found = {}
    for one in given:
        model, _, dollars = one.rpartition("=")
        try:
            found[model] = float(dollars)
        except ValueError:
            model = ""
        if not model:
            raise typer.BadParameter(f'expected MODEL=USD, got "{one}"', param_hint="--price")
    return found


def _refuse(message: str) -> NoReturn:
    typer.echo(f"dragoman: {message}", err=True)
    raise typer.Exit(1)
