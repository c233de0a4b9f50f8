"""A network in virtual time that loses, delays, duplicates and cuts, by a seed."""

import heapq
import random
from dataclasses import dataclass

from standfest.model.message import Message
from standfest.model.time import Duration, Instant, microseconds, milliseconds


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is: probabilities 0..1, delay in ns."""

    loss: float = 0.0
    duplication: float = 0.0
    min_delay: Duration = microseconds(200)
    max_delay: Duration = milliseconds(3)


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """One datagram on its way."""

    at: Instant
    number: int
    receiver: str
    link: str
    message: Message


class Network:
    """All links between all nodes."""

    def __init__(self, source: random.Random, weather: Weather) -> None:
        self._source = source
        self.weather = weather
        self._way: list[Arrival] = []
        self._number = 0
        self.unplugged: set[tuple[str, str]] = set()
        self.cut: set[tuple[str, str]] = set()

    def send(self, now: Instant, sender: str, link: str, receiver: str, message: Message) -> None:
        """Send a datagram; cut: (sender, receiver), unplugged: (node, link)."""
        blocked = (sender, receiver) in self.cut or not self.connected(sender, receiver, link)
        copies = 2 if self._source.random() < self.weather.duplication else 1
        for _ in range(copies):
            lost = self._source.random() < self.weather.loss
            delay = self._source.randint(self.weather.min_delay, self.weather.max_delay)
            if blocked or lost:
                continue
            self._number += 1
            heapq.heappush(self._way, Arrival(now + delay, self._number, receiver, link, message))

    def connected(self, one: str, other: str, link: str) -> bool:
        """Return whether both nodes' cables of a link are plugged in."""
        return (one, link) not in self.unplugged and (other, link) not in self.unplugged

    def next_arrival(self) -> Instant | None:
        """Return when the next datagram arrives."""
        return self._way[0].at if self._way else None

    def arrivals(self, now: Instant) -> list[Arrival]:
        """Return what has arrived by now."""
        found: list[Arrival] = []
        while self._way and self._way[0].at <= now:
            found.append(heapq.heappop(self._way))
        return found
