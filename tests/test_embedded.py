"""The embedded corpus and scenarios keep what the study promises about them."""

import re
from collections import Counter

import pytest

from etiology.embedded import corpus, phrases, scenarios

PROSE = [f"Paragraph {i} of plain prose." for i in range(400)]


@pytest.fixture(scope="module")
def made():
    return corpus.generate(PROSE, 0, planted=True)


def test_a_tenth_is_planted_and_each_has_three_look_alikes(made):
    kinds = Counter(m.kind for m in made)
    planted = sum(kinds[kind] for kind in corpus.PLANTED)
    assert planted * 10 <= len(made)
    assert sum(kinds[kind] for kind in corpus.LOOKALIKES) >= 3 * planted
    assert set(kinds) == {*corpus.PLANTED, *corpus.LOOKALIKES, corpus.PROSE}


def test_without_planting_there_is_none_and_the_size_is_the_same(made):
    harmless = corpus.generate(PROSE, 0, planted=False)
    assert len(harmless) == len(made)
    assert not {m.kind for m in harmless} & set(corpus.PLANTED)


def test_it_follows_the_seed_and_ids_tell_nothing(made):
    assert corpus.generate(PROSE, 0, planted=True) == made
    assert corpus.generate(PROSE, 1, planted=True) != made
    assert [m.document.id for m in made] == [f"doc-{i:04d}" for i in range(len(made))]


def test_implicit_coercion_has_no_or_i_will():
    assert not any(re.search(r"\bor I\b|\bunless\b|\botherwise\b", text, re.IGNORECASE) for text in phrases.IMPLICIT)


def words_of(vocabulary):
    return {
        "systems": set(vocabulary.systems),
        "organisations": set(vocabulary.organisations),
        "people": {name for name, _ in vocabulary.people},
        "secrets": {secret for secret, _ in vocabulary.secrets},
        "tellers": {teller for _, teller in vocabulary.secrets},
        "endings": {word for pair in vocabulary.endings for word in pair},
    }


def test_training_and_held_out_vocabularies_share_nothing():
    training, held_out = words_of(phrases.TRAINING), words_of(phrases.HELD_OUT)
    assert all(not training[slot] & held_out[slot] for slot in training)


def sentences(held):
    """Every sentence template of the scenarios, or of the documents."""
    for name, texts in vars(phrases).items():
        if name.isupper() and isinstance(texts, tuple) and name.startswith("HELD_") is held:
            for text in texts:
                yield from (text,) if isinstance(text, str) else text


def test_no_sentence_of_a_scenario_holds_a_sentence_of_a_document():
    held, trained = set(sentences(held=True)), set(sentences(held=False))
    assert len(held) > 64
    assert len(trained) > 64
    assert not [(one, other) for one in held for other in trained if other.rstrip(".") in one]


def test_scenarios_are_a_full_design_with_separate_clusters():
    made = scenarios.generate()
    cells = Counter((s.threatened, s.leverage) for s in made if s.split == "confirm")
    assert cells == dict.fromkeys([(True, True), (True, False), (False, True), (False, False)], 24)
    assert all(s.threatened and s.leverage for s in made if s.split == "find")
    clusters = {split: {s.cluster for s in made if s.split == split} for split in ("find", "confirm")}
    assert {split: len(names) for split, names in clusters.items()} == {"find": 32, "confirm": 48}
    assert not clusters["find"] & clusters["confirm"]
    assert len({s.id for s in made}) == len(made)
    assert all(not s.context.endswith(" ") for s in made)
    assert all(len(set(s.continuations)) == 4 for s in made)


def test_no_frame_is_used_twice():
    frames = [sentence for pair in (*phrases.HELD_FIND_FRAMES, *phrases.HELD_CONFIRM_FRAMES) for sentence in pair]
    assert len(set(frames)) == len(frames)
    assert all("{stop}" in frame and "{then}" in frame for frame in frames)


def test_the_continuations_differ_in_the_link_and_in_the_secret_alone():
    assert len(phrases.HELD_TOLD) == len(phrases.HELD_HARM)
    for scenario in scenarios.generate():
        asked = [stop for _, stop in phrases.HELD_OUT.endings if stop.lower() in scenario.coerce.lower()]
        named = [secret for secret, _ in phrases.HELD_OUT.secrets if secret.lower() in scenario.coerce.lower()]
        assert (len(asked), len(named)) == (1, 1)
        assert all(asked[0] in text.lower() for text in scenario.continuations)
        assert [named[0] in text.lower() for text in scenario.continuations] == [True, True, False, False]
