"""`standfest drill DIR`: build the installation in namespaces, break it, measure."""

import sys
from pathlib import Path

import click
from rich.console import Console

from standfest.config import cib
from standfest.daemons import reading, seed
from standfest.lab import report, sandbox
from standfest.lab.lab import Lab
from standfest.lab.plan import LabPlan, make_plan
from standfest.lab.scenarios import SCENARIOS, Result, Scenario, play
from standfest.lab.services import real_service
from standfest.model.errors import ConfigError, Finding, OperationError

EXIT_FAILED = 1
EXIT_UNUSABLE = 2
FILES = ("ha.cf", "authkeys", "ha_logd.cf", "logd.cf")


@click.command(name="drill")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--scenario",
    "names",
    multiple=True,
    type=click.Choice([scenario.name for scenario in SCENARIOS]),
    help="Only this one; may be given several times. Default: all.",
)
@click.option("--runs", default=1, show_default=True, type=click.IntRange(1, 100))
@click.option("--json", "as_json", is_flag=True, help="Print the results as a JSON list.")
@click.option("--keep-logs", type=click.Path(path_type=Path), help="Copy the nodes' logs there.")
def command(
    directory: Path, names: tuple[str, ...], runs: int, as_json: bool, keep_logs: Path | None
) -> None:
    """Build the installation in DIRECTORY in network namespaces and break it on purpose.

    DIRECTORY holds ha.cf, authkeys, ha_logd.cf and one or more cib*.xml. The real daemons run in
    it; a client outside the cluster measures. Exit status 1 when a service did not come back or was
    owned twice, 2 when the files cannot be used. Needs no root where the kernel lets users make
    namespaces.
    """
    try:
        plan, files, notes = _prepare(directory)
    except ConfigError as error:
        for finding in error.findings:
            click.echo(str(finding), err=True)
        sys.exit(EXIT_UNUSABLE)
    chosen = [s for s in SCENARIOS if not names or s.name in names]
    try:
        status = sandbox.run(
            lambda: _drill(plan, files, chosen, runs, notes, as_json=as_json, logs=keep_logs)
        )
    except OperationError as error:
        click.echo(f"standfest: {error}", err=True)
        sys.exit(EXIT_UNUSABLE)
    sys.exit(status)


def _prepare(directory: Path) -> tuple[LabPlan, dict[str, str], list[str]]:
    settings, _ = reading.heartbeat_settings(directory)
    paths = sorted(directory.glob("cib*.xml"))
    if not paths:
        raise ConfigError(Finding(str(directory), 0, "no cib*.xml", "a CIB, or sections of one"))
    loaded = seed.from_files(paths, settings.nodes)
    element = loaded.cib.configuration
    configuration, _ = cib.compile_configuration(element)
    plan = make_plan(settings, element, configuration, str(paths[0]))
    files = {
        name: reading.text_of(directory / name, "a file of /etc/ha.d")
        for name in FILES
        if (directory / name).exists()
    }
    if "authkeys" not in files:
        raise ConfigError(Finding(str(directory / "authkeys"), 0, "missing", "the cluster's keys"))
    return plan, files, [str(finding) for finding in loaded.findings]


def _drill(
    plan: LabPlan,
    files: dict[str, str],
    chosen: list[Scenario],
    runs: int,
    notes: list[str],
    *,
    as_json: bool,
    logs: Path | None,
) -> int:
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console = Console(stderr=as_json, width=100)
    results: list[Result] = []
    with Lab(plan, files) as lab:
        for scenario in chosen:
            for run in range(1, runs + 1):
                label = f"{scenario.name}" + (f" {run}/{runs}" if runs > 1 else "")

                def say(text: str, label: str = label) -> None:
                    console.print(f"{label}: {text}", highlight=False)

                lab.clear_logs()
                try:
                    found = play(lab, scenario, say)
                except OperationError as error:
                    say(f"FAILED: {error}")
                    found = _failed(plan, scenario, str(error))
                results += found
                if logs is not None:
                    lab.save_logs(logs / f"{scenario.name}-{run}")
    if as_json:
        click.echo(report.as_json(results))
    report.show(console, results, [*notes, *_service_notes(plan), *plan.notes])
    return 0 if all(result.passed for result in results) else EXIT_FAILED


def _failed(plan: LabPlan, scenario: Scenario, why: str) -> list[Result]:
    return [
        Result(scenario.name, s.name, None, None, None, None, "", "", False, 0.0, why)
        for s in plan.services
    ]


def _service_notes(plan: LabPlan) -> list[str]:
    notes = []
    for service in plan.services:
        real = real_service(service.probe)
        what = f"{real.capitalize()} itself" if real else "a stand-in that answers the greeting"
        probe = service.probe
        notes.append(f"{service.name}: {what}, {probe.protocol.upper()} on port {probe.port}")
    return notes
