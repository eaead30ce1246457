import base64
import io

import numpy as np
import pytest
from PIL import Image

from sim2real.report import clips as clipping
from sim2real.report.clips import CLIPS, film, gif
from sim2real.report.figures import figures
from sim2real.report.table import Table


def frames(count=40, height=120, width=160):
    """Return a square that moves."""
    images = np.full((count, height, width, 3), 200, np.uint8)
    for i, image in enumerate(images):
        image[40:60, i : i + 20] = (200, 30, 30)
    return list(images)


@pytest.fixture(scope="module")
def samples(made):
    study = made.walker(episodes=5)
    return figures(Table(study, made.record(study))).samples


def as_recorded(samples):
    digests = {sample.trial.key: sample.digest for sample in samples}
    return lambda trial: ({"digest": digests[trial.key]}, frames())


def test_a_gif_is_the_end_of_the_episode():
    """A clip keeps the proportions of the images and at most its seconds, and ends with the last image."""
    image = Image.open(io.BytesIO(gif(frames(400))))
    assert image.size == (clipping.WIDTH, clipping.WIDTH * 120 // 160)
    assert image.n_frames <= clipping.SECONDS * 15 / 2
    image.seek(image.n_frames - 1)
    last = np.asarray(image.convert("RGB").resize((160, 120)))
    still = np.asarray(Image.open(io.BytesIO(gif(frames(400)[-1:]))).convert("RGB").resize((160, 120)))
    assert np.abs(last.astype(int) - still).mean() < 5


def test_same_frames_same_bytes():
    """A clip depends on its images alone."""
    assert gif(frames()) == gif(frames())


def test_policies_take_turns(samples):
    """Every policy is shown before one is shown twice, and there is an end to it."""
    found, silent = film(samples, as_recorded(samples))
    assert silent == ()
    assert len(found) == CLIPS
    assert {clip.sample.policy for clip in found[:2]} == {"plain", "randomised"}
    assert all(clip.faithful for clip in found)
    assert base64.b64decode(found[0].uri.partition(",")[2]).startswith(b"GIF89a")


def test_what_replays_differently_is_said(samples):
    """A replay whose digest is not the recorded one is not called faithful."""
    found, _ = film(samples, lambda trial: ({"digest": "another"}, frames()))
    assert not any(clip.faithful for clip in found)


def test_the_page_does_not_grow_without_bound(samples, monkeypatch):
    """Clips that do not fit the budget are left out."""
    monkeypatch.setattr(clipping, "BUDGET_BYTES", 2 * len(film(samples, as_recorded(samples))[0][0].uri) + 10)
    assert len(film(samples, as_recorded(samples))[0]) == 2


def test_what_cannot_be_rendered_is_said_once(samples):
    """A policy that cannot be played or seen is tried once, and the others are still shown."""
    tried = []
    good = as_recorded(samples)

    def replay(trial):
        if "plain" in trial.policy.label:
            tried.append(trial)
            raise RuntimeError("no\ncamera here")
        return good(trial)

    found, silent = film(samples, replay)
    assert len(tried) == 1
    assert {clip.sample.policy for clip in found} == {"randomised"}
    assert silent == ("No clips of plain: no camera here",)
    assert film(samples, lambda trial: ({}, []))[1][0].endswith("the environment gave no images.")
    blind = {"status": "error", "error": "RuntimeError: no display"}
    assert film(samples, lambda trial: (blind, []))[1][0].endswith("RuntimeError: no display")
