import json
from dataclasses import replace

import pytest
from search_toys import REGION, field, still

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.perturb import Uniform, set_to
from sim2real.search import Search, find_failure, find_sensitivity
from sim2real.study import Store, open_study, replay
from sim2real.study.replay import find

BOTH = Search(study=field("both"), region=REGION, points=24, fresh=4)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A search that was not interrupted, and its folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return find_failure(BOTH, folder, workers=0), folder


def told(found):
    """Return what was found, without where it was written."""
    return {name: value for name, value in found.items() if name != "reproduce"}


def test_a_search_finds_the_smallest_perturbation_that_fails(undisturbed):
    """What does nothing is left out, and what is left stands where less of it would not do."""
    found, folder = undisturbed
    smallest = found["smallest"]
    assert found["nominal"] == 1
    assert found["worst"]["score"] == smallest["score"] == 0
    assert smallest["amounts"] == pytest.approx({"a": 0.4, "b": 0.6}, abs=0.02)
    assert smallest["amounts"]["a"] > 0.4
    assert smallest["amounts"]["b"] > 0.6
    assert smallest["severity"] == smallest["amounts"]  # of parameters from 0, which is nominal, to 1
    assert json.loads((folder / "search.json").read_text()) == json.loads(json.dumps(found))


def test_a_counterexample_repeats_from_the_folder_alone(undisturbed):
    """The line that is printed finds the episode, and it fails again bit for bit; its clip is there."""
    found, folder = undisturbed
    _, _, where, key = found["reproduce"].split()
    assert where == str(folder)
    trial, recorded = find(*open_study(folder), key)
    assert replay(trial)[0]["digest"] == recorded["digest"]
    assert recorded["success"] == 0
    assert [one["key"][:12] for one in found["episodes_failed"]][0] == key
    assert (folder / found["clip"]).read_bytes()[:3] == b"GIF"


def test_what_was_found_is_measured_on_episodes_the_search_did_not_see(undisturbed):
    """The study in `fresh` has the same conditions under other seeds."""
    found, folder = undisturbed
    fresh = Store(folder / "fresh")
    assert {row["seed"] for row in fresh.rows()}.isdisjoint(row["seed"] for row in Store(folder).rows())
    assert len(fresh) == 4 * len({json.dumps(found[name]["condition"]) for name in ("worst", "smallest")}) + 4
    assert found["fresh"]["smallest"]["value"] == 0
    assert found["fresh"]["nominal"]["value"] == 1


@pytest.mark.parametrize("method", ["bayesian", "evolution"])
def test_a_search_that_was_killed_does_what_is_missing(tmp_path, method):
    """Stopped again and again it runs no episode twice, and ends as if nothing had happened."""
    search = replace(BOTH, method=method)
    whole = find_failure(search, tmp_path / "whole", workers=0)
    played, after = [], 0

    def stop(done, total, failed):
        played.append(done)
        if len(Store(tmp_path / "parts")) > after and done:
            raise KeyboardInterrupt

    for after in (3, 20, 40):
        with pytest.raises(KeyboardInterrupt):
            find_failure(search, tmp_path / "parts", workers=0, chunk_s=1e-6, progress=stop)
        assert len(Store(tmp_path / "parts")) == after + 1
    assert told(find_failure(search, tmp_path / "parts", workers=0)) == told(whole)
    assert Store(tmp_path / "parts").table_hash() == Store(tmp_path / "whole").table_hash()


def test_a_search_is_the_same_in_worker_processes(tmp_path, undisturbed):
    """Where trials run changes nothing of what is found."""
    assert told(find_failure(BOTH, tmp_path, workers=2)) == told(undisturbed[0])


def test_the_worst_case_is_near_the_bottom(tmp_path):
    """A smooth metric leads the search to the place where it is least, within the noise of episodes."""
    study = field("bowl", luck=0.01, metric="return", competent=0.1)
    found = find_failure(Search(study=study, region=REGION, points=30, fresh=10), tmp_path, workers=0)
    assert found["worst"]["amounts"] == pytest.approx({"a": 0.3, "b": 0.8, "c": 0.5}, abs=0.15)
    assert found["fresh"]["worst"]["value"] == pytest.approx(0, abs=0.04)


def test_where_nothing_fails_nothing_is_shrunk(tmp_path):
    """The worst point is told all the same, on a plateau too."""
    found = find_failure(Search(study=field("flat"), region=REGION, points=12, fresh=2), tmp_path, workers=0)
    assert found["worst"]["score"] == 1
    assert (found["smallest"], found["reproduce"], found["clip"], found["failing"]) == (None, None, None, 0)
    assert (found["episodes_failed"], found["modes"]) == ([], [])


def test_an_episode_that_breaks_is_no_worst_case(tmp_path):
    """A point without a number leads nowhere, but that there are such and how they ended is told."""
    found = find_failure(
        Search(study=field("broken"), region=REGION, points=20, fresh=2), tmp_path, workers=0
    )
    assert 0 < found["lost"] <= sum(found["history"], []).count(None)
    assert 0.5 <= found["worst"]["amounts"]["a"] <= 0.9
    assert {mode["name"].split(",")[0] for mode in found["modes"]} == {"lost", "ValueError: too much"}


def test_a_policy_that_fails_anyway_is_not_searched(tmp_path):
    """There is nothing to find where no perturbation is needed."""
    search = Search(study=field("alone"), region=REGION, fails_below=1.5)
    with pytest.raises(
        Sim2RealError, match="fails without any perturbation: its success is 1, and below 1.5"
    ):
        find_failure(search, tmp_path, workers=0)


def test_a_search_is_of_one_policy(tmp_path):
    """With several it would be unclear whose failure it is."""
    some = {name: policies.scripted(still, rest=rest) for name, rest in (("x", 0.0), ("y", 1.0))}
    with pytest.raises(Sim2RealError, match="of one policy, not of x, y at once"):
        find_failure(Search(study=field(policies=some), region=REGION), tmp_path, workers=0)


def test_sensitivity_tells_what_matters_and_what_interacts(tmp_path):
    """Where two must come together: the shares of variance that follow from their probabilities, 0.6 and 0.4."""
    found = find_sensitivity(
        replace(BOTH, study=field("both", episodes=1), points=5 * 128), tmp_path, workers=0
    )
    told = found["policies"]["it"]["success"]
    variance = 0.24 * 0.76
    alone = {"a": 0.16 * 0.24 / variance, "b": 0.36 * 0.24 / variance, "c": 0.0}
    together = 1 - alone["a"] - alone["b"]
    assert found["rows"] == 128
    assert {name: share["value"] for name, share in told["first"].items()} == pytest.approx(alone, abs=0.15)
    assert told["total"]["a"]["value"] == pytest.approx(alone["a"] + together, abs=0.15)
    assert told["total"]["c"] == {"value": 0, "low": 0, "high": 0}
    assert told["pairs"][0]["between"] == ["a", "b"]
    assert told["pairs"][0]["value"] == pytest.approx(together, abs=0.15)
    assert told["sentence"].startswith("Of the variance of success over the region b decides")
    assert json.loads((tmp_path / "sensitivity.json").read_text()) == found
    assert found["policies"]["it"]["return"]["std"] > 0


def test_a_folder_keeps_what_is_asked_of_it_in_turn(tmp_path):
    """After a search and a sensitivity analysis all episodes of both are part of its study."""
    few = replace(BOTH, points=40)
    find_sensitivity(few, tmp_path, workers=0)
    find_failure(replace(few, points=6), tmp_path, workers=0)
    study, store = open_study(tmp_path)
    assert {trial.key for trial in study.trials()} == store.keys()
    before = len(store)
    find_sensitivity(few, tmp_path, workers=0)
    assert len(Store(tmp_path)) == before


def test_a_region_too_wide_for_its_points_is_refused():
    """Indices from fewer than 8 rows would say nothing."""
    with pytest.raises(Sim2RealError, match="to 3 perturbations takes points=40 or more, not 39"):
        find_sensitivity(replace(BOTH, points=39))


def test_conditions_of_the_study_are_run_as_well(tmp_path):
    """A search begins with what its study asks by itself."""
    study = field(conditions={"half": [set_to("parameter:a", Uniform(0.4, 0.5))]})
    find_failure(Search(study=study, region=REGION, points=6, fresh=1), tmp_path, workers=0)
    whole, store = open_study(tmp_path)
    assert {trial.key for trial in study.trials()} < {trial.key for trial in whole.trials()} == store.keys()
