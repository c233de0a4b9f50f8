"""One run of crm_simulate: a situation, what is changed in it, the transition, the outcome."""

from dataclasses import dataclass

from standfest.analysis import execution, graphfile, injection, savedcib, summary, whatif
from standfest.analysis.scoretrace import ScoreTrace, capacities
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.engine import decide
from standfest.core.scheduler.outcome import leaves_of
from standfest.core.scheduler.values import boolean
from standfest.model import xml
from standfest.model.deeds import Executed, Score
from standfest.model.element import Element
from standfest.model.history import Recorded
from standfest.monitor import simulated_status, simulation
from standfest.monitor.crm import read
from standfest.monitor.simulation_page import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for.

    now: seconds since 1970; at, quorum, watchdog: as they were written, "" if they were not;
    changes: (node, ticket or operation; what; its name); files: the options whose files are to be
    written.
    """

    now: int
    at: str = ""
    run: bool = False
    simulate: bool = False
    scores: bool = False
    utilization: bool = False
    attributes: bool = False
    failures: bool = False
    everything: bool = False
    changes: tuple[tuple[str, str, str], ...] = ()
    failing: tuple[injection.Injection, ...] = ()
    quorum: str = ""
    watchdog: str = ""
    files: tuple[str, ...] = ()

    @property
    def shows(self) -> bool:
        """Return whether more than scores is asked for."""
        return self.run or self.simulate

    @property
    def decides(self) -> bool:
        """Return whether the transition is asked for, by any option."""
        files = {"save_graph", "save_dotfile"} & set(self.files)
        return self.shows or self.scores or self.utilization or bool(files)


class Rehearsal:
    """Plays what was asked for; page: the report; scores: its lines; files: option -> text."""

    def __init__(
        self, asked: Asked, root: Element, configuration: Element, recorded: Recorded
    ) -> None:
        self._asked = asked
        self._root = root
        self._configuration = configuration
        self._recorded = recorded
        self.page = Page(plain=asked.scores or asked.utilization)
        self.scores: list[str] = []
        self.files: dict[str, str] = {}

    def play(self) -> None:
        """Do everything; raises OperationError for nodes and resources that there are not."""
        asked = self._asked
        self._check()
        self._said_time()
        self._status("Current cluster status", "cluster_status", self._root, first=True)
        self._change()
        if "save_input" in asked.files:
            self.files["save_input"] = self._document()
        if not asked.decides:
            return
        trace = ScoreTrace() if asked.scores or asked.utilization else None
        cluster = decide(self._configuration, self._recorded, asked.now, trace)
        if trace is not None:
            self._worth(cluster, trace)
        self._summary(cluster)
        if "save_graph" in asked.files:
            self.files["save_graph"] = graphfile.as_xml(cluster)
        if "save_dotfile" in asked.files:
            self.files["save_dotfile"] = graphfile.as_dot(cluster, everything=asked.everything)
        if asked.simulate:
            self._perform(cluster)

    def _check(self) -> None:
        """Raise OperationError for what is not there, before anything is printed."""
        for given in self._asked.failing:
            whatif.node_record(self._configuration, self._recorded, given.node)
            injection.agent_of(self._configuration, given.resource)

    def _said_time(self) -> None:
        if self._asked.at:
            self.page.line(f"Setting effective cluster time: {self._asked.at}")

    def _document(self) -> str:
        return savedcib.document(self._configuration, self._recorded, self._asked.now)

    def _status(self, title: str, tag: str, root: Element, *, first: bool = False) -> None:
        asked, page = self._asked, self.page
        situation = read(root, asked.now)
        show = simulated_status.show_of(attributes=asked.attributes, failures=asked.failures)
        disabled = simulated_status.disabled_line(situation) if first else ""
        if disabled:
            page.part("", [disabled])
        lines = simulated_status.status_lines(situation, show, plain=page.plain)
        page.part(title, lines, bullets=False)
        page.element(simulated_status.status_element(tag, situation, show))

    def _change(self) -> None:
        asked = self._asked
        lines: list[str] = []
        elements: list[Element] = []
        attributes: list[tuple[str, str]] = []
        if asked.quorum:
            whatif.quorum(self._recorded, present=boolean(asked.quorum, False))
            attributes.append(("quorum", asked.quorum))
        if asked.watchdog:
            present = boolean(asked.watchdog, False)
            self._configuration = whatif.watchdog(self._configuration, present=present)
            attributes.append(("watchdog", asked.watchdog))
        lines += [f"Setting {name}: {value}" for name, value in attributes]
        for kind, change, name in asked.changes:
            lines.append(simulation.change_line(kind, change, name))
            elements.append(simulation.change_element(kind, change, name))
            if kind == "node":
                whatif.node_is(self._configuration, self._recorded, name, change)
            elif kind == "ticket":
                whatif.ticket(self._recorded, name, change)
            else:
                whatif.inject(self._configuration, self._recorded, name, asked.now)
                more = self._counted(injection.parse(name))
                lines += [simulation.attribute_line(*one) for one in more]
                elements += [simulation.attribute_element(*one) for one in more]
        if lines:
            self.page.part("Performing Requested Modifications", lines)
            self.page.element(Element("modifications", tuple(attributes), tuple(elements)))
            self._said_time()

    def _counted(self, given: injection.Injection) -> list[tuple[str, str, str]]:
        """Return (name, value, node id) of the attributes that a failure sets."""
        if given.code == given.expected or (given.task == "monitor" and not given.interval):
            return []
        node = whatif.node_record(self._configuration, self._recorded, given.node).id
        key = f"{given.resource.partition(':')[0]}#{given.task}_{given.interval}"
        now = str(self._asked.now)
        return [(f"fail-count-{key}", "value++", node), (f"last-failure-{key}", now, node)]

    def _worth(self, cluster: Cluster, trace: ScoreTrace) -> None:
        """Add scores and capacities, each use where its resource was placed."""
        found: list[tuple[str, Element]] = []
        amounts = list(capacities(cluster))
        uses = {leaf.id: leaf for leaf in leaves_of(cluster) if leaf.assigned is not None}
        shown = list(trace.scores(cluster))
        last = {score.resource: at for at, score in enumerate(shown)}
        if self._asked.utilization:
            found += [_capacity("Original", node, has) for node, has, _ in amounts]
        for at, score in enumerate(shown):
            if self._asked.scores:
                found.append((simulation.score_line(score), simulation.score_element(score)))
            leaf = uses.get(score.resource)
            if self._asked.utilization and leaf is not None and _is_last(score, last, at):
                node = leaf.assigned.name if leaf.assigned is not None else ""
                use = (leaf.id, node, leaf.utilization)
                found.append((simulation.use_line(*use), simulation.use_element(*use)))
        if self._asked.utilization:
            found += [_capacity("Remaining", node, left) for node, _, left in amounts]
        self.scores = [line for line, _ in found]
        self.page.part("", self.scores)
        parts = [
            name
            for name, wanted in (
                ("allocations", self._asked.scores),
                ("utilizations", self._asked.utilization),
            )
            if wanted
        ]
        self.page.element(Element("_".join(parts), (), tuple(element for _, element in found)))

    def _summary(self, cluster: Cluster) -> None:
        nodes, deeds = list(summary.node_deeds(cluster)), list(summary.deeds(cluster))
        lines = [*map(simulation.node_line, nodes), *simulation.deed_lines(deeds)]
        self.page.part("Transition Summary", lines)
        elements = (*map(simulation.node_element, nodes), *map(simulation.deed_element, deeds))
        self.page.element(Element("actions", (), elements))

    def _perform(self, cluster: Cluster) -> None:
        asked, page = self._asked, self.page
        steps = execution.rehearse(self._configuration, cluster, asked.failing, asked.now)
        page.part("Executing Cluster Transition", [simulation.executed_line(s) for s in steps])
        elements = [simulation.executed_element(step) for step in steps]
        if steps and steps[-1].failed is not None:
            step = steps[-1]
            page.line(f"Pretending action {step.action} failed with rc={step.failed}")
            given = next(one for one in asked.failing if _is(one, step))
            more = self._counted(given)
            page.items([simulation.attribute_line(*one) for one in more])
            elements += [simulation.attribute_element(*one) for one in more]
        page.element(Element("transition", (), tuple(elements)))
        self._said_time()
        after = self._document()
        for name in ("save_output", "in_place"):
            if name in asked.files:
                self.files[name] = after
        root = xml.parse(after, "the CIB")
        self._status("Revised Cluster Status", "revised_cluster_status", root)


def _is(given: injection.Injection, step: Executed) -> bool:
    return (given.task, given.interval, given.node) == (step.task, step.interval, step.node)


def _is_last(score: Score, last: dict[str, int], at: int) -> bool:
    return bool(score.function) and last[score.resource] == at


def _capacity(comment: str, node: str, amounts: dict[str, int]) -> tuple[str, Element]:
    given = (comment, node, amounts)
    return simulation.capacity_line(*given), simulation.capacity_element(*given)
