"""A local Mailtrap that misbehaves in spells, and remembers what it took."""

import threading
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final, Literal, TypeAlias

from platform_notify.testing.local_mailtrap import MailtrapServer
from platform_notify.testing.mailtrap_answers import (
    Answer,
    bad_gateway,
    error,
    rate_limited,
    reset,
    success_false,
)
from typing_extensions import override

Mood: TypeAlias = Literal[
    "well", "slow", "500", "502", "429", "reset", "hang", "refuse", "take_then_500", "take_then_reset",
    "take_then_hang",
]  # fmt: skip
"""`take_then_...` is the worst a provider can do: the mail leaves, and the sender is told otherwise."""

MOODS: Final[tuple[Mood, ...]] = (
    "well", "well", "well", "well", "well", "slow", "500", "502", "429", "reset", "hang", "refuse",
    "take_then_500", "take_then_reset", "take_then_hang",
)  # fmt: skip

ANSWER_SECONDS: Final = 0.1
"""How long it takes to answer, after it has taken the mails; whoever is killed meanwhile repeats them."""

FAULTY_SHARE: Final = 0.3
"""How many of the requests of a bad spell are treated badly."""


class MoodyMailtrap(MailtrapServer):
    """Takes mails like Mailtrap, but for its moods. `calm_down` ends them.

    Attributes:
        taken: how often each delivery was taken.
        treated: how many requests met which mood.
    """

    def __init__(self, ca_bundle: Path, *, random: Random, requests_a_spell: int = 12) -> None:
        """Bind a free port.

        Args:
            ca_bundle: where to write the CA to trust.
            random: decides the moods.
            requests_a_spell: how many requests a mood lasts on average.
        """
        super().__init__(ca_bundle)
        self.taken: Counter[str] = Counter()
        self.treated: Counter[str] = Counter()
        self._counted = 0
        self._random = random
        self._spell = requests_a_spell
        self._mood: Mood = "well"
        self._calm = threading.Event()
        self._never = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._hanging = False

    def calm_down(self) -> None:
        """From now on be well; requests that hang are cut."""
        self._calm.set()

    @override
    def take(self, path: str, headers: dict[str, str], content: bytes) -> Answer:
        """Note a request and say what to answer; for the server's threads."""
        with self._one_at_a_time:
            mood = self._next_mood()
            self.treated[mood] += 1
            answer = self._treat(mood, path, headers, content)
        self._never.wait(ANSWER_SECONDS)
        if mood == "slow":
            self._calm.wait(0.5)
        if mood in {"hang", "take_then_hang"}:
            self._calm.wait()
            with self._one_at_a_time:
                self._hanging = False
        return answer

    def _next_mood(self) -> Mood:
        if self._calm.is_set():
            return "well"
        if self._random.random() < 1 / self._spell:
            self._mood = self._random.choice(MOODS)
        if self._random.random() > FAULTY_SHARE:
            return "well"
        if self._mood in {"hang", "take_then_hang"}:
            # One at a time: each keeps a sender until its time is up, and there are but a few of them.
            if self._hanging:
                return "well"
            self._hanging = True
        return self._mood

    def _treat(self, mood: Mood, path: str, headers: dict[str, str], content: bytes) -> Answer:
        match mood:
            case "500" | "502" | "429":
                return {"500": error(500), "502": bad_gateway(), "429": rate_limited("1")}[mood]
            case "reset" | "hang":
                return reset()
            case "refuse":
                return success_false("suppressed")
            case _:
                answer = super().take(path, headers, content)
        for taken in self.mails[self._counted :]:
            self.taken[taken["mail"].get("custom_variables", {}).get("delivery_id", "")] += 1
            # Only the email log needs it from here on: the text of thousands of mails would fill the memory.
            taken["mail"]["text"] = taken["mail"]["html"] = ""
        self._counted = len(self.mails)
        self.requests.clear()
        match mood:
            case "take_then_500":
                return error(500)
            case "take_then_reset" | "take_then_hang":
                return reset()
            case _:
                return answer
