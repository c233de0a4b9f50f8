"""A network in virtual time that loses, delays, duplicates, damages and cuts, by a seed."""

import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

from standfest.model.message import Message
from standfest.model.time import Duration, Instant, microseconds, milliseconds


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is: probabilities 0..1, delay in ns.

    damage: of a bit flipped on the way, which the receiver must notice.
    """

    loss: float = 0.0
    duplication: float = 0.0
    min_delay: Duration = microseconds(200)
    max_delay: Duration = milliseconds(3)
    damage: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A datagram as it comes to a node; damaged: it is not what was sent."""

    link: str
    message: Message
    damaged: bool = False


class Network:
    """All links between all nodes."""

    def __init__(self, source: random.Random, weather: Weather) -> None:
        self._source = source
        self.weather = weather
        self._way: list[tuple[Instant, int, str, Arrival]] = []  # when, number, receiver
        self._number = 0
        self.unplugged: set[tuple[str, str]] = set()
        self.cut: set[tuple[str, str]] = set()
        self.slow: dict[str, Duration] = {}

    def send(
        self,
        now: Instant,
        sender: str,
        receivers: Iterable[str],
        links: tuple[str, ...],
        message: Message,
    ) -> None:
        """Send a datagram to all others over all links.

        cut: (sender, receiver); unplugged: (node, link); slow: node -> ns.
        """
        whole = {link: Arrival(link, message) for link in links}
        for receiver in receivers:
            if receiver != sender:
                for arrival in whole.values():
                    self._send(now, sender, receiver, arrival)

    def _send(self, now: Instant, sender: str, receiver: str, arrival: Arrival) -> None:
        source, weather = self._source, self.weather
        copies = 1
        if weather.duplication and source.random() < weather.duplication:
            copies = 2
        if self.cut and (sender, receiver) in self.cut:
            return
        if self.unplugged and not self.connected(sender, receiver, arrival.link):
            return
        spread = weather.max_delay - weather.min_delay
        for _ in range(copies):
            if weather.loss and source.random() < weather.loss:
                continue
            damaged = weather.damage > 0 and source.random() < weather.damage
            delay = weather.min_delay + int(source.random() * spread)
            if self.slow:
                delay += self.slow.get(sender, 0) + self.slow.get(receiver, 0)
            self._number += 1
            came = replace(arrival, damaged=True) if damaged else arrival
            heapq.heappush(self._way, (now + delay, self._number, receiver, came))

    def connected(self, one: str, other: str, link: str) -> bool:
        """Return whether both nodes' cables of a link are plugged in."""
        return (one, link) not in self.unplugged and (other, link) not in self.unplugged

    def next_arrival(self) -> Instant | None:
        """Return when the next datagram arrives."""
        return self._way[0][0] if self._way else None

    def arrivals(self, now: Instant) -> list[tuple[str, Arrival]]:
        """Return what has arrived by now, and where."""
        found: list[tuple[str, Arrival]] = []
        while self._way and self._way[0][0] <= now:
            _, _, receiver, arrival = heapq.heappop(self._way)
            found.append((receiver, arrival))
        return found
