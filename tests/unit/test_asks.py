"""What administrators ask on a node ends in an answer, or in words that there was none."""

from standfest.model.errors import Ground
from standfest.model.time import seconds
from standfest.runtime.cluster.asks import Asks
from standfest.runtime.cluster.effects import Answer
from standfest.runtime.cluster.protocol import Told


def test_an_answer_goes_to_who_asked_with_its_ground_and_only_once() -> None:
    asks = Asks()
    number = asks.begin(0, 7)
    told = Told(number, False, "no node c", Ground.NO_SUCH)
    assert asks.told(told) == [Answer(7, False, "no node c", Ground.NO_SUCH)]
    assert asks.told(told) == []


def test_who_is_not_answered_within_30_s_is_told_so() -> None:
    asks = Asks()
    asks.begin(0, 7)
    assert asks.on_timer(seconds(29)) == []
    text = "no answer from the coordinator within 30 s"
    assert asks.on_timer(seconds(30)) == [Answer(7, False, text, Ground.NO_ANSWER)]
    assert asks.deadline() is None
