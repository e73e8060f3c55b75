"""Which jobs people submit: those of the past that the world begins with, and the next one."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from trainwave_exporter.simulator.catalogue import Catalogue, draw_job_name
from trainwave_exporter.simulator.jobs import Draft
from trainwave_exporter.simulator.lifecycle import TYPICAL_LIFE, Behavior, draw_course, expire
from trainwave_exporter.simulator.orders import Order
from trainwave_exporter.simulator.weighted_choice import WeightedChoice

_ROLES = {1: Behavior.LAME, 2: Behavior.IDLES, 3: Behavior.HANGS}
"""What some of the first jobs are, so that a small fleet has one of each."""
_STAYING = frozenset({Behavior.LAME, Behavior.HANGS})
"""Tempers that a job hands to the one that follows it, so that there is always one such job."""
_CHANCE_OF_IDLING = 0.08
_CHANCE_OF_EXPIRY = 0.4
_CHANCE_OF_CORRECTION = 0.05
_DISKS_MB = (51_200, 102_400, 512_000)
_EXPIRIES = tuple(hours * 3600 for hours in (6, 8, 12, 24, 48))


class Population:
    """People with work to do; what they do follows from ``random`` alone."""

    def __init__(self, catalogue: Catalogue, random: Random) -> None:
        self._random = random
        self._projects = WeightedChoice((project, project.weight) for project in catalogue.projects)
        self._owners = WeightedChoice((owner, owner.weight) for owner in catalogue.owners)
        self._offers = WeightedChoice((offer, offer.weight) for offer in catalogue.offers)
        self._wide = WeightedChoice((offer, 1) for offer in catalogue.offers if offer.gpus >= 4)

    def past(self, start: int, jobs: int, history: int) -> Iterator[tuple[int, Draft]]:
        """Yield when each job was submitted that is there at ``start``, and what it is.

        ``jobs`` of them are not over by then, ``history`` are; the past reaches back as far as
        so many jobs would have taken.
        """
        random = self._random
        for place in range(jobs):
            draft = self._draw(_ROLES.get(place) or self._draw_behavior(), recurs=True)
            yield start - self._draw_age(draft), draft
        span = max(3600, history * TYPICAL_LIFE // max(jobs, 1))
        for _ in range(history):
            draft = self._draw(self._draw_behavior(), recurs=False)
            yield start - random.randint(1, span) - draft.course[-1][0], draft

    def successor(self, of: Draft) -> tuple[int, Draft]:
        """Return how many seconds after the end of a job the next one is submitted, and which."""
        behavior = of.behavior if of.behavior in _STAYING else self._draw_behavior()
        return self._random.randint(1, 60), self._draw(behavior, recurs=True)

    def accept(self, order: Order) -> Draft:
        """Return what becomes of an order."""
        course = draw_course(self._random, Behavior.STEADY)
        if order.expires_after is not None:
            course = expire(course, order.expires_after)
        return Draft(order=order, course=course, seed=self._random.getrandbits(64))

    def _draw_behavior(self) -> Behavior:
        idles = self._random.random() < _CHANCE_OF_IDLING
        return Behavior.IDLES if idles else Behavior.STEADY

    def _draw_age(self, draft: Draft) -> int:
        if draft.life is None:
            return self._random.randint(2 * 3600, 6 * 3600)
        if draft.behavior is Behavior.STEADY:
            return self._random.randrange(draft.life)
        return int(draft.life * self._random.uniform(0.5, 0.8))  # so that the behavior shows

    def _draw(self, behavior: Behavior, *, recurs: bool) -> Draft:
        random = self._random
        offer = (self._wide if behavior is Behavior.LAME else self._offers).draw(random)
        course = draw_course(random, behavior)
        expires_after = None
        correction = None
        if behavior is not Behavior.HANGS:
            if random.random() < _CHANCE_OF_EXPIRY:
                expires_after = random.choice(_EXPIRIES)
                course = expire(course, expires_after)
            if random.random() < _CHANCE_OF_CORRECTION:
                correction = (random.randint(60, course[-1][0] + 1800), random.uniform(-0.3, 0.2))
        order = Order(
            name=draw_job_name(random),
            project=self._projects.draw(random),
            owner=self._owners.draw(random),
            offer=offer,
            cpus=offer.cpus,
            memory_mb=offer.memory_mb,
            disk_mb=random.choice(_DISKS_MB),
            expires_after=expires_after,
        )
        return Draft(
            order=order,
            course=course,
            seed=random.getrandbits(64),
            behavior=behavior,
            correction=correction,
            recurs=recurs,
        )
