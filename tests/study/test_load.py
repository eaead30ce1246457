import sys
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2real.errors import Sim2RealError
from sim2real.study.load import load_module, load_study, module_name, typed

STUDY = """
from pathlib import Path
from typing import Literal
from study_toys import constant, cartpole, toy

study = toy()

def grid(episodes: int, seed: int = 0, name: str = "grid", robot: Literal["g1", "h1"] = "g1",
         weights: Path | None = None, levels: tuple[float, ...] = (), guessed=3):
    assert episodes != 13, "unlucky"
    return toy(name=name, episodes=episodes, seed=seed,
               question=repr((robot, weights, levels, guessed)))

number = 3
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "my-study.py"
    path.write_text(STUDY)
    yield path
    sys.modules.pop(module_name(path), None)


def test_a_study_file_is_a_module_of_one_name(path):
    """The name comes from the file's, so its functions are called the same wherever it lies."""
    module = load_module(path)
    assert sys.modules["study_my_study"] is module
    assert module.grid.__module__ == "study_my_study"


def test_a_study_is_found_by_its_name(path):
    """The default attribute is `study`; a function gets parameters of the types its signature says."""
    assert load_study(str(path))[0].name == "toy"
    words = ["episodes=3", "seed=7", "robot=h1", "weights=a.pt", "levels=0.5,2", "guessed=4", "name=b"]
    study, source = load_study(f"{path}:grid", words)
    assert (study.name, study.episodes, study.seed) == ("b", 3, 7)
    assert study.question == repr(("h1", Path("a.pt"), (0.5, 2.0), 4))
    assert source == {"file": str(path), "attribute": "grid", "overrides": words}


@pytest.mark.parametrize(
    ("attribute", "words", "message"),
    [
        ("nothing", [], "defines no 'nothing'"),
        ("studi", [], "Did you mean 'study'"),
        ("number", [], "neither a Study nor a function"),
        ("study", ["episodes=3"], "is not a function"),
        ("grid", [], "'grid' needs episodes=value"),
        ("grid", ["episodes"], "must be parameter=value"),
        ("grid", ["episode=3"], "Did you mean 'episodes'"),
        ("grid", ["episodes=three"], "episodes=three: 'three' is not of the type int"),
        ("grid", ["episodes=3", "robot=h2"], "'h2' is none of g1, h1"),
        ("grid", ["episodes=13"], r"my-study\.py:\d+: AssertionError: unlucky"),
        ("grid", ["episodes=0"], "episodes must be a whole number"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(path, attribute, words, message):
    """Wrong names and values name the right ones."""
    with pytest.raises(Sim2RealError, match=message) as caught:
        load_study(f"{path}:{attribute}", words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("study = (", r"broken\.py:2: SyntaxError"),
        ("import nowhere_at_all", r"broken\.py:2: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("Study(name='a/b', env='x', policies={})", r"broken\.py:2: A study's name becomes a folder"),
    ],
)
def test_a_broken_study_file_is_told_with_its_line(tmp_path, line, message):
    """Whatever a study file raises becomes one sentence that says where, and no module stays behind."""
    path = tmp_path / "broken.py"
    path.write_text(f"from sim2real.study import Study\n{line}\n")
    with pytest.raises(Sim2RealError, match=message):
        load_study(str(path))
    assert "study_broken" not in sys.modules
    with pytest.raises(Sim2RealError, match="There is no study file"):
        load_study(str(tmp_path / "absent.py"))


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.sampled_from(["none", "a b"])))
def test_what_is_written_is_read_back(value):
    """`str` of a value, read as its type, is the value."""
    assert typed(str(value), type(value)) == value


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("none", int | None, None),
        ("3", int | None, 3),
        ("3", float | str, 3.0),
        ("x", float | str, "x"),
        ("(1, 2)", tuple[int, float], (1, 2.0)),
        ("1,2,3", tuple[int, ...], (1, 2, 3)),
        ("", tuple[int, ...], ()),
        ("a,b", list[str], ["a", "b"]),
        ("2", Literal[1, 2], 2),
        ("on", bool, None),
        ("1,2,3", tuple[int, int], None),
        ("x", int | None, None),
        ("x", dict, None),
    ],
)
def test_annotations_say_how_text_is_read(text, annotation, value):
    """Unions take the first member that fits, tuples count their values; the rest is refused."""
    if value is None and text != "none":
        with pytest.raises(ValueError, match="."):
            typed(text, annotation)
    else:
        assert typed(text, annotation) == value
