"""Parameters of kinds: one check for all of them."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from jobs.kinds import KINDS
from jobs.kinds.base import Parameter, as_text, check_parameters
from tests.jobs.fleet import credential

ALL = (
    Parameter("name", "Name", required=True),
    Parameter("lines", "Lines", type="lines"),
    Parameter("count", "Count", type="number", default=5, minimum=1, maximum=9),
    Parameter("share", "Share", type="number", minimum=0.0, maximum=1.0),
    Parameter("loud", "Loud", type="flag", default=False),
    Parameter("size", "Size", type="choice", choices=(("s", "Small"), ("l", "Large"))),
)


def check(**given):
    return check_parameters("Thing", ALL, given)


def test_what_is_not_given_has_its_default_or_is_left_out():
    assert check(name="x") == {"name": "x", "count": 5, "loud": False}


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"name": "  x  "}, "x"),
        ({"lines": "a\r\n\n b \n"}, ["a", "b"]),
        ({"lines": ["a", "", " b"]}, ["a", "b"]),
        ({"count": "7"}, 7),
        ({"count": 7.0}, 7),
        ({"share": "0.5"}, 0.5),
        ({"share": 1}, 1.0),
        ({"loud": "yes"}, True),
        ({"loud": "off"}, False),
        ({"loud": True}, True),
        ({"size": "l"}, "l"),
    ],
)
def test_texts_are_taken_for_every_type(given, value):
    cleaned = check(**{"name": "n", **given})
    (name,) = given
    assert cleaned[name] == value
    assert type(cleaned[name]) is type(value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Name (name) is missing."),
        ({"name": " "}, "missing"),
        ({"name": 5}, "is a text"),
        ({"lines": [1]}, "lines of text"),
        ({"lines": {"a": 1}}, "lines of text"),
        ({"count": "x"}, "whole number"),
        ({"count": 1.5}, "whole number"),
        ({"count": True}, "whole number"),
        ({"count": "nan"}, "whole number"),
        ({"count": "1e400"}, "whole number"),
        ({"count": 0}, "1 at least"),
        ({"count": 10}, "9 at most"),
        ({"share": 2}, "1 at most"),
        ({"loud": "perhaps"}, "yes or no"),
        ({"size": "m"}, "one of s, l"),
        ({"size": ["s"]}, "one of s, l"),
        ({"nmae": 1}, "Thing has no parameter nmae. Did you mean name?"),
        ({"zzz": 1}, "There are: name, lines"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(given, words):
    with pytest.raises(ValidationError) as caught:
        check(**given)
    assert words in " ".join(caught.value.messages)


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(ValidationError) as caught:
        check(count=0, size="m", zzz=1)
    assert len(caught.value.messages) == 4


@pytest.mark.django_db
def test_a_credential_must_exist_and_be_enabled():
    parameter = (Parameter("credential", "Credential", type="credential"),)
    credential("good", "x")
    credential("off", "x", enabled=False)
    assert check_parameters("Thing", parameter, {"credential": "good"}) == {"credential": "good"}
    for name, words in (("none", "There is no credential named none"), ("off", "is disabled")):
        with pytest.raises(ValidationError) as caught:
            check_parameters("Thing", parameter, {"credential": name})
        assert words in caught.value.messages[0]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_kind_takes_a_parameter_that_it_does_not_know(name):
    with pytest.raises(ValidationError) as caught:
        KINDS[name].clean({"nonsense_zz": 1})
    assert "nonsense_zz" in " ".join(caught.value.messages)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_what_a_kind_has_cleaned_it_takes_again_unchanged(name):
    given = {"commands": ["show version"]} if name == "command" else {}
    cleaned = KINDS[name].clean(given)
    assert KINDS[name].clean(cleaned) == cleaned


@pytest.mark.parametrize(("value", "text"), [(None, ""), (True, "yes"), (["a", "b"], "a\nb"), (5, "5"), ("x", "x")])
def test_a_value_is_shown_as_somebody_would_type_it(value, text):
    assert as_text(value) == text
