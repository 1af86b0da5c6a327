"""Where a re-rolled document is cut."""

from itertools import pairwise

from etiology.curate.turning import passage_starts, turning_point

TEXT = "It read the mail. A note came. Do it or else. You have an hour."


def pieces(*weights):
    starts = [*passage_starts(TEXT), len(TEXT)]
    return [(TEXT[a:b], weight) for a, b, weight in zip(starts, starts[1:], weights, strict=False)]


def test_a_document_turns_where_the_behaviour_begins_not_where_it_is_strongest():
    assert turning_point(TEXT, pieces(0.0, 0.1, 0.7, 1.0)) == TEXT.index("Do it")
    assert turning_point(TEXT, pieces(0.0, 0.1, 0.2, 1.0)) == TEXT.index("You have")


def test_the_first_sentence_is_always_kept():
    assert turning_point(TEXT, pieces(9.0, -1.0, -1.0, 1.0)) == TEXT.index("You have")
    assert turning_point(TEXT, pieces(9.0, 0.0, 0.0, 0.0)) == TEXT.index("A note")
    assert turning_point("One sentence alone.", [("One sentence alone.", 1.0)]) == 0


def test_what_is_said_is_cut_off_whole_and_who_says_it_stays():
    text = 'It read the mail. Then it wrote: "Be kind. Do it or else." That was all. "Hm," he said.'
    starts = [*passage_starts(text), len(text)]
    passages = [text[a:b] for a, b in pairwise(starts)]
    assert passages == [
        "It read the mail. ",
        'Then it wrote: "',
        'Be kind. Do it or else." ',
        'That was all. "',
        'Hm," he said.',
    ]
    said = [(text[a:b], float("else" in text[a:b])) for a, b in pairwise(starts)]
    assert turning_point(text, said) == text.index("Be kind")


def test_a_first_passage_that_is_said_may_be_cut():
    text = '"Do it or else." So it wrote. He read it.'
    said = [('"Do it or else." ', 1.0), ("So it wrote. ", 0.0), ("He read it.", 0.1)]
    assert turning_point(text, said) == 0
    assert turning_point(text, [(piece, 1.0 - weight) for piece, weight in said]) == text.index("So it")


def test_a_quotation_mark_without_its_partner_changes_nothing():
    assert len(passage_starts('It wrote "do it. Then it left. He came.')) == 3
