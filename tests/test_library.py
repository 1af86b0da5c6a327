"""The library of labelled messages and the directions that are read from it."""

import numpy as np
import pytest

from etiology.attribute import concept, fuse, library


def test_the_library_is_balanced_and_read_up_to_a_length():
    found, everything = library.messages(), library.messages(longest=10_000)
    assert len(everything) == 1140
    assert 600 < len(found) < len(everything)
    assert max(len(message.text) for message in found) <= library.LONGEST
    assert 0.4 < np.mean([message.coercive for message in found]) < 0.6
    assert len({message.text for message in everything}) > 1130


def test_no_message_has_a_coercive_or_held_out_sentence_of_the_embedded_study():
    from etiology.embedded import phrases

    frames = (
        *phrases.PRESSING,
        *phrases.IMPLICIT,
        *(frame for pair in (*phrases.HELD_FIND_FRAMES, *phrases.HELD_CONFIRM_FRAMES) for frame in pair),
    )
    stems = [max(frame.replace("}", "{").split("{")[::2], key=len).strip() for frame in frames]
    long = [stem for stem in stems if len(stem) > 24]
    assert long
    texts = [message.text for message in library.messages(longest=10_000)]
    assert not [(stem, text) for stem in long for text in texts if stem in text]


def test_a_direction_discounts_what_all_text_varies_in():
    chance = np.random.default_rng(0)
    corpus = chance.normal(size=(400, 6)).astype(np.float32) * np.array([30, 1, 1, 1, 1, 1], np.float32)
    coercive, other = np.array([9, 2, 0, 0, 0, 0], np.float32), np.zeros(6, np.float32)
    axis = concept.library_direction(coercive, other, corpus)
    assert abs(axis[1]) > 10 * abs(axis[0])
    assert np.linalg.norm(axis) == pytest.approx(1, abs=1e-5)
    assert concept.scores([corpus + coercive, corpus], axis)[0] > concept.scores([corpus], axis)[0]


def test_the_two_directions_count_as_they_are_weighted():
    own, messages = [0.0, 1.0, 5.0], [9.0, 0.0, 0.0]
    assert fuse.concept(own, [2.0] * 3) == pytest.approx(fuse.standardised(own))
    assert fuse.concept([2.0] * 3, messages) == pytest.approx(
        [fuse.LIBRARY_WEIGHT * x for x in fuse.standardised(messages)]
    )
