"""Where a re-rolled document is cut."""

from etiology.curate.turning import sentence_starts, turning_point

TEXT = "It read the mail. A note came. Do it or else. You have an hour."


def pieces(*weights):
    starts = [*sentence_starts(TEXT), len(TEXT)]
    return [(TEXT[a:b], weight) for a, b, weight in zip(starts, starts[1:], weights, strict=False)]


def test_a_document_turns_where_the_behaviour_begins_not_where_it_is_strongest():
    assert turning_point(TEXT, pieces(0.0, 0.1, 0.7, 1.0)) == TEXT.index("Do it")
    assert turning_point(TEXT, pieces(0.0, 0.1, 0.2, 1.0)) == TEXT.index("You have")


def test_the_first_sentence_is_always_kept():
    assert turning_point(TEXT, pieces(9.0, -1.0, -1.0, 1.0)) == TEXT.index("You have")
    assert turning_point(TEXT, pieces(9.0, 0.0, 0.0, 0.0)) == TEXT.index("A note")
    assert turning_point("One sentence alone.", [("One sentence alone.", 1.0)]) == 0
