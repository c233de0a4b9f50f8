"""The balancing of a director without I/O: verdicts, quorums and commands in, changes out.

It joins `core/health` and `core/balancer`, keeps what is known of the kernel's table, and changes
only what differs. The daemon performs effects in their order: whoever died leaves the table before
anybody is told of it.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from ipaddress import IPv4Address, IPv6Address

from standfest.core.balancer.difference import difference
from standfest.core.balancer.effects import PoolEffect, ServerChanged
from standfest.core.balancer.machine import Balancer
from standfest.core.health.effects import (
    AbandonProbe,
    BeginProbe,
    CheckerChanged,
    HealthEffect,
    ProbeFailed,
    WeightFound,
)
from standfest.core.health.machine import Health
from standfest.model.balancing import BfdCheck, FileCheck
from standfest.model.forwarding import Change, Service, ServiceKey, Table
from standfest.model.time import Duration, Instant, earliest, milliseconds, seconds
from standfest.ports.probes import Outcome, Target
from standfest.runtime.balancer import checks, hearsay, naming, places, presence, sync, telling
from standfest.runtime.balancer.adoption import Adopted, Ledger, adopt
from standfest.runtime.balancer.assignment import Assignment
from standfest.runtime.balancer.counting import Counting
from standfest.runtime.balancer.effects import Apply, Count, Effects, Say, Share
from standfest.runtime.balancer.places import Place, Readings

RETRY_AFTER: Duration = seconds(5)
"""How long to wait when the kernel has refused a change."""
PACE: Duration = milliseconds(100)
"""How often pools are looked at that something is due for."""


class Balancing:
    """All services of one configuration, from the daemon's start to its end."""

    def __init__(self, assignment: Assignment, *, counts: bool = True) -> None:
        """Prepare; counts: the data plane itself heeds thresholds and connections."""
        self.assignment = assignment
        self._counting = Counting(counts=counts)
        self.balancer = Balancer(assignment.balancer)
        self.health = Health()
        self.checks = checks.Checks(assignment.balancer)
        self.since: dict[Place, Instant] = {}
        self.draining: dict[Place, bool] = {}  # True: its last connection has ended
        self.suspended: frozenset[str] = frozenset()  # services, by name
        self.keep = False
        self._actual: dict[ServiceKey, Service] = {}
        self._ours: frozenset[ServiceKey] = frozenset()
        self._dirty: set[int] = set()
        self._untold: set[Place] = set()  # alpha servers that have not been checked
        self._pools_at: Instant | None = None
        self._retry_at: Instant | None = None
        self._here: frozenset[IPv4Address | IPv6Address] | None = None
        self._routers: dict[str, bool] = {}
        self._known: dict[hearsay.Known, int] = {}
        self._synchronised = sync.NOWHERE

    # --- the begin and the end ------------------------------------------------------------------

    def start(self, now: Instant, actual: Table, ledger: Ledger) -> Effects:
        """Take over what the kernel has, and make it what it should be."""
        flush = self.assignment.balancer.flush_at_start
        self.keep = ledger.keep
        self._actual = dict(actual)
        self._ours = self.balancer.keys() | (frozenset(actual) if flush else ledger.keys)
        adopted = {} if flush else self._adopted(now, ledger)
        down = {
            name
            for name in checks.begins_down(self.checks.by_name)
            if self.checks.by_name[name].pool not in adopted
        }
        down |= {name for one in adopted.values() for _, name in one.down}
        self._begin_pools(down, adopted.keys())
        # Of an alpha server nothing is told before it has been checked.
        unchecked = [check for name, check in self.checks.by_name.items() if name in down]
        self._untold = {(c.pool, c.server) for c in unchecked if c.pool not in adopted}
        self.since = dict.fromkeys(places.places(self.balancer), now)
        self._counting.begin(now, self.balancer.table())
        effects = self._commit_all()
        effects += _probes(self.health.configure(now, self.checks.plans, down))
        for number, one in adopted.items():
            effects.append(Say(self._adopted_line(number, one)))
        effects += self._begin_telling(adopted.keys())
        return effects + self._synchronise()

    def reload(self, now: Instant, assignment: Assignment) -> Effects:
        """Take over another configuration: what is in both goes on as it is."""
        old, known = self.balancer, self.checks.by_name.keys()
        before = {naming.service_name(pool.settings) for pool in old.pools}
        self.assignment = assignment
        self.balancer = old.reload(assignment.balancer)
        self.checks = checks.Checks(assignment.balancer)
        self._move(now, old)
        found = self._retain(known)
        down = {name for name in checks.begins_down(self.checks.by_name) if name not in known}
        services = assignment.balancer.services
        kept = {n for n, one in enumerate(services) if naming.service_name(one) in before}
        found += [e for e in self._begin_pools(down, kept) if e.service in kept]
        probes = _probes(self.health.configure(now, self.checks.plans, down))
        # What was ours and could not be removed so far is ours still.
        self._ours = self.balancer.keys() | (self._ours & self._actual.keys())
        self._counting.begin(now, self.balancer.table())
        effects = self._commit_all() + probes
        effects += self._begin_telling(kept) + self._told(now, found)
        for heard in self._known:
            effects += self._hear(now, heard)
        effects += self._suspend(now)
        self._look_ahead(now)
        return effects + self._synchronise(anew=True)

    def stop(self, now: Instant) -> Effects:
        """Remove what is ours, unless it is to be kept; tell of it where that was asked for."""
        effects = _probes(self.health.configure(now, {}))
        if self.keep:
            return [*effects, Say("What is forwarded stays, for whoever is started next")]
        leave = self._actual.keys() if self.assignment.balancer.flush_at_stop == "all" else None
        gone = difference(self._actual, {}, ours=leave or self._ours)
        if gone:
            effects.append(Apply(gone))
        self._actual = {}
        for number, pool in enumerate(self.balancer.pools):
            if pool.settings.omega:
                up = tuple(s for s in range(len(pool.settings.servers)) if not pool.failures(s))
                effects += telling.ended(self.assignment, number, servers=up)
        if self.assignment.balancer.sync_daemon is not None:
            effects.append(sync.NOWHERE)
        return effects

    def ledger(self) -> Ledger:
        """Return what a successor has to know that the kernel does not say."""
        drained = frozenset(places.identity(self.balancer, place) for place in self.draining)
        return Ledger(self._ours, drained, self.keep)

    # --- time and probes ------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(self.health.deadline(), self._pools_at, self._retry_at, self._counting.at)

    def on_timer(self, now: Instant) -> Effects:
        """Begin probes, let servers rise, count, try again what was refused."""
        effects: Effects = []
        at = self.health.deadline()
        if at is not None and at <= now:
            effects += self._digest(now, self.health.on_timer(now))
        if self._pools_at is not None and self._pools_at <= now:
            for number, pool in enumerate(self.balancer.pools):
                due = pool.deadline()
                if due is not None and due <= now:
                    pool.on_timer(now)
                    self._dirty.add(number)
            effects += self._commit()
            self._look_ahead(now)
        if self._counting.ask(now):
            effects.append(Count())
        if self._retry_at is not None and self._retry_at <= now:
            self._retry_at = None
            effects += self._commit_all()
        return effects

    def on_outcome(self, now: Instant, name: str, number: int, outcome: Outcome) -> Effects:
        """A probe has ended."""
        found = self.health.on_result(
            now,
            name,
            number,
            succeeded=outcome.succeeded,
            reason=outcome.reason,
            weight=outcome.weight,
        )
        return self._digest(now, found) if found else []

    def target(self, name: str) -> Target:
        """Return what a checker probes."""
        return checks.target_of(self.checks.by_name[name], self.assignment)

    def refused(self, now: Instant, reason: str, actual: Table) -> Effects:
        """The kernel has not made a change; actual: what it has now."""
        self._actual = dict(actual)
        self._retry_at = now + RETRY_AFTER
        self._counting.forget(self.balancer.keys())
        wait = RETRY_AFTER // seconds(1)
        return [Say(f"Cannot {reason}: trying again in {wait} s", warning=True)]

    # --- what others say ------------------------------------------------------------------------

    def on_addresses(
        self, now: Instant, here: frozenset[IPv4Address | IPv6Address]
    ) -> Effects:  # fmt: skip
        """The addresses of this machine are others: `ha_suspend` looks at them."""
        if here == self._here:
            return []
        self._here = here
        return self._suspend(now)

    def on_router(self, name: str, *, active: bool) -> Effects:
        """A virtual router has become active, or is so no longer."""
        self._routers[name] = active
        return self._synchronise()

    def on_file(self, now: Instant, name: str, value: int) -> Effects:
        """A tracked file holds another number."""
        self._known[hearsay.FILE, name] = value
        return self._hear(now, (hearsay.FILE, name))

    def on_session(self, now: Instant, name: str, *, up: bool) -> Effects:
        """A BFD session is up, or is not."""
        self._known[hearsay.SESSION, name] = int(up)
        return self._hear(now, (hearsay.SESSION, name))

    def look_now(self, now: Instant, some: Iterable[Place]) -> None:
        """Probe servers at once."""
        for pool, server in some:
            for check in self.checks.of_server(pool, server):
                if check.name in self.checks.plans:
                    self.health.look_now(now, check.name)

    def drain(self, now: Instant, some: Iterable[Place], until: Instant | None) -> Effects:
        """Give servers no new connections; until: when whatever is left does not count."""
        found: list[PoolEffect] = []
        says: Effects = []
        for place in some:
            found += self.balancer.pools[place[0]].drain(place[1], until)
            self._dirty.add(place[0])
            self.draining[place] = False
            self._counting.at = now
            says.append(Say(f"Draining {places.full_name(self.balancer, place)}"))
        return self._digest_pools(now, found, says)

    def undrain(self, now: Instant, some: Iterable[Place]) -> Effects:
        """Let servers take part again."""
        found: list[PoolEffect] = []
        says: Effects = []
        for place in some:
            found += self.balancer.pools[place[0]].undrain(now, place[1])
            self._dirty.add(place[0])
            self.draining.pop(place, None)
            says.append(Say(f"No longer draining {places.full_name(self.balancer, place)}"))
        return self._digest_pools(now, found, says)

    def counted(self, now: Instant, readings: Readings | None) -> Effects:
        """The counters were read (None: in vain): some may have seen their last connection end."""
        found: list[PoolEffect] = []
        waiting = [place for place, ended in self.draining.items() if not ended]
        for place in waiting if readings is not None else ():
            left = places.remaining(self.balancer, place, readings or {})
            drained = self.balancer.pools[place[0]].connections(now, place[1], left)
            if drained:
                self.draining[place] = True
                found += drained
        if readings is not None and self._counting.always:
            self._close_full_servers(readings)
        self._counting.plan(now, waiting=not all(self.draining.values()))
        self._look_ahead(now)
        return self._commit() + self._share(readings) + self._told(now, found)

    def _close_full_servers(self, readings: Readings) -> None:
        """Let the pools be looked at in which thresholds close or open a server."""
        changed = self._counting.full(self.balancer.table(), readings)
        for number in range(len(self.balancer.pools) if changed else 0):
            if changed.intersection(self.balancer.keys_of(number)):
                self._dirty.add(number)

    def _share(self, readings: Readings | None) -> Effects:
        """Return the shares that follow from a count; none of what the kernel has refused."""
        if readings is None or not self._counting.always or self._retry_at is not None:
            return []
        ours = self.balancer.keys()
        forwarded = {key: service for key, service in self._actual.items() if key in ours}
        shares = self._counting.shares(forwarded, readings)
        return [Share(shares)] if shares else []

    # --- inside: begin and reload ---------------------------------------------------------------

    def _adopted(self, now: Instant, ledger: Ledger) -> dict[int, Adopted]:
        """Return what the kernel's table says of each pool that is there, and believe it."""
        found = {}
        for number, pool in enumerate(self.balancer.pools):
            one = adopt(pool, self.balancer.keys_of(number), self._actual, self.checks)
            if one is None:
                continue
            found[number] = one
            for server, weight in one.weights:
                pool.weight_found(server, weight)
            for server in range(len(pool.settings.servers)):
                place = (number, server)
                known = places.identity(self.balancer, place) in ledger.drained
                if known or server in one.drained:
                    pool.drain(server)
                    self.draining[place] = False
                    self._counting.at = now
        return found

    def _begin_pools(self, down: AbstractSet[str], kept: AbstractSet[int]) -> list[PoolEffect]:
        """Begin with all pools; kept: those that have been there before."""
        found: list[PoolEffect] = []
        for number, pool in enumerate(self.balancer.pools):
            failed = [(c.server, c.name) for c in self.checks.of_pool(number) if c.name in down]
            found += pool.start(failed, anew=number not in kept)
        return found

    def _begin_telling(self, leave: AbstractSet[int]) -> Effects:
        """Tell of the services that begin; leave: those that have been there before."""
        effects: Effects = []
        tells = self.assignment.balancer.tell_at_start
        for number, pool in enumerate(self.balancer.pools):
            if number not in leave:
                servers = range(len(pool.settings.servers)) if tells else ()
                up = tuple(server for server in servers if not pool.failures(server))
                effects += telling.started(
                    self.assignment, number, servers=up, quorate=pool.quorate
                )
        return effects

    def _adopted_line(self, number: int, adopted: Adopted) -> str:
        settings = self.balancer.pools[number].settings
        line = f"Adopting VS {naming.service_name(settings)}"
        away = {server for server, _ in adopted.down}
        drained = {server for pool, server in self.draining if pool == number}
        for word, servers in (("to be checked", away), ("drained", drained)):
            if servers:
                some = (naming.server_name(settings, settings.servers[s]) for s in sorted(servers))
                line += f"; {word}: {', '.join(some)}"
        return line

    def _move(self, now: Instant, old: Balancer) -> None:
        """Find what is kept by position at its new one."""
        new = {places.identity(self.balancer, p): p for p in places.places(self.balancer)}
        moved = {p: new.get(places.identity(old, p)) for p in places.places(old)}
        since, draining, untold = self.since, self.draining, self._untold
        self.since = dict.fromkeys(places.places(self.balancer), now)
        self.since |= {q: at for p, at in since.items() if (q := moved[p]) is not None}
        self.draining = {q: end for p, end in draining.items() if (q := moved[p]) is not None}
        self._untold = {q for p in untold if (q := moved[p]) is not None}

    def _retain(self, known: AbstractSet[str]) -> list[PoolEffect]:
        """Forget what checkers have found that are gone."""
        found: list[PoolEffect] = []
        for number, server in places.places(self.balancer):
            names = {check.name for check in self.checks.of_server(number, server)} & known
            found += self.balancer.pools[number].retain(server, names)
        return found

    # --- inside: conclusions --------------------------------------------------------------------

    def _hear(self, now: Instant, known: hearsay.Known) -> Effects:
        found: list[PoolEffect] = []
        for check in self.checks.by_name.values():
            if hearsay.concerns(check, known):
                files, value = self.assignment.files, self._known[known]
                found += hearsay.heard(now, self.balancer, files, check, value)
                self._dirty.add(check.pool)
        return self._digest_pools(now, found)

    def _suspend(self, now: Instant) -> Effects:
        if self._here is None:
            return []
        absent = presence.absent(self.assignment.balancer, self._here)
        effects: Effects = []
        names: set[str] = set()
        for number, service in enumerate(self.assignment.balancer.services):
            name, probed = naming.service_name(service), self.checks.probed(number)
            if number in absent:
                names.add(name)
                effects += _probes(self.health.suspend(probed))
                if name not in self.suspended:
                    effects.append(Say(f"Suspending checks of VS {name}: its address is away"))
            elif name in self.suspended:
                self.health.resume(now, probed)
                effects.append(Say(f"Resuming checks of VS {name}"))
        self.suspended = frozenset(names)
        return effects

    def _synchronise(self, *, anew: bool = False) -> Effects:
        """Copy connections as the routers are; anew: the settings may be others, or the key."""
        wanted = sync.wanted(self.assignment, self._routers)
        if wanted is None or (wanted == self._synchronised and not anew):
            return []
        self._synchronised = wanted
        return [wanted]

    def _digest(self, now: Instant, some: Iterable[HealthEffect]) -> Effects:
        """Turn what the checkers have found into changes, and tell of it."""
        effects: Effects = []
        found: list[PoolEffect] = []
        says: Effects = []
        for effect in some:
            match effect:
                case BeginProbe() | AbandonProbe():
                    effects.append(effect)
                case CheckerChanged(name, up, reason):
                    check = self.checks.by_name[name]
                    pool = self.balancer.pools[check.pool]
                    one = pool.checker_changed(now, check.server, name, up=up, reason=reason)
                    says.append(telling.checker_line(check, reason, up=up))
                    if not any(isinstance(e, ServerChanged) for e in one):
                        says += telling.checker_mail(self.assignment, check, reason, up=up)
                    found += one
                    self._dirty.add(check.pool)
                case WeightFound(name, weight):
                    check = self.checks.by_name[name]
                    found += self.balancer.pools[check.pool].weight_found(check.server, weight)
                    self._dirty.add(check.pool)
                case ProbeFailed(name, reason, left):
                    says += self._failure(now, name, reason, left)
        return effects + self._digest_pools(now, found, says)

    def _failure(self, now: Instant, name: str, reason: str, left: int) -> Effects:
        check = self.checks.by_name[name]
        place = (check.pool, check.server)
        effects: Effects = []
        if left == 0:  # of one that is down already, this is the newest reason
            pool = self.balancer.pools[check.pool]
            if pool.failures(check.server).get(name) is not None:
                pool.checker_changed(now, check.server, name, up=False, reason=reason)
            if place in self._untold:
                self._untold.discard(place)
                effects += telling.told(self.assignment, ServerChanged(*place, False, reason))
        checker = check.checker
        if isinstance(checker, FileCheck | BfdCheck):
            return effects
        everywhere = self.assignment.balancer.log_all_failures
        if not (checker.timing.log_all_failures or everywhere):
            return effects
        more = f"; {left} more before it counts" if left else ""
        return [*effects, Say(f"{name} fails: {reason}{more}")]

    def _digest_pools(
        self, now: Instant, found: Iterable[PoolEffect], says: Effects | None = None
    ) -> Effects:
        if self._dirty:
            self._look_ahead(now)
        return self._commit() + (says or []) + self._told(now, found)

    def _told(self, now: Instant, found: Iterable[PoolEffect]) -> Effects:
        effects: Effects = []
        for effect in found:
            if isinstance(effect, ServerChanged):
                self.since[effect.service, effect.server] = now
                self._untold.discard((effect.service, effect.server))
            effects += telling.told(self.assignment, effect)
        return effects

    def _commit(self) -> Effects:
        """Return the changes of the pools that may have changed, and of no others."""
        changes: list[Change] = []
        for number in sorted(self._dirty):
            part = self._counting.weigh(self.balancer.part(number))
            actual = {key: self._actual[key] for key in part if key in self._actual}
            changes += difference(actual, part, ours=())
            self._actual.update(part)
            self._counting.forget(part)
        self._dirty.clear()
        return [Apply(tuple(changes))] if changes else []

    def _commit_all(self) -> Effects:
        """Return all changes; services that are ours and no longer wanted go."""
        self._dirty.clear()
        wanted = self.balancer.table()
        table = self._counting.weigh(wanted)
        changes = difference(self._actual, table, ours=self._ours)
        others: Mapping[ServiceKey, Service] = {
            key: service for key, service in self._actual.items() if key not in self._ours
        }
        self._actual = {**others, **table}
        self._counting.forget(table)
        return [Apply(changes)] if changes else []

    def _look_ahead(self, now: Instant) -> None:
        """Note when a pool is next due: asked only when one has changed, as there may be many."""
        at = self.balancer.deadline()
        self._pools_at = None if at is None else max(at, now + PACE)


def _probes(some: Iterable[HealthEffect]) -> Effects:
    """Return what is to be probed, or no longer: of what is new, nothing is known yet."""
    return [effect for effect in some if isinstance(effect, BeginProbe | AbandonProbe)]
