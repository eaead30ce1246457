"""Failures to look at: episodes played again and kept as small GIFs inside the page."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sim2real.report.samples import Sample
from sim2real.study.trial import Trial

Frames = Sequence[NDArray[np.uint8]]
Replay = Callable[[Trial], tuple[Mapping[str, Any], Frames]]

CLIPS = 6
BUDGET_BYTES = 1_200_000
WIDTH = 256
SECONDS = 5.0
_FRAMES_PER_SECOND = 15  # what a replay renders
_KEPT = 2  # one frame in so many is kept
_COLOURS = 64


@dataclass(frozen=True, kw_only=True)
class Clip:
    """The end of a failed episode as a data URI; ``faithful`` if every bit of it was as recorded."""

    sample: Sample
    uri: str
    size: tuple[int, int]
    faithful: bool


def film(samples: Iterable[Sample], replay: Replay) -> tuple[tuple[Clip, ...], tuple[str, ...]]:
    """Play samples again until there are enough clips or the page would grow too large.

    Args:
        samples: episodes, the most telling first; policies take turns.
        replay: plays a trial and returns its row and images (height, width, 3), 15 per second.

    Returns:
        The clips, and a sentence for every policy that could not be shown.
    """
    found: list[Clip] = []
    silent: dict[str, str] = {}
    room = BUDGET_BYTES
    for sample in _in_turn(samples):
        if len(found) == CLIPS:
            break
        if sample.policy in silent:
            continue
        try:
            row, frames = replay(sample.trial)
            if not len(frames) and row.get("error"):
                raise ValueError(row["error"])
            data = gif(frames)
        except Exception as error:  # whatever a foreign environment may do when asked for images
            silent[sample.policy] = f"No clips of {sample.policy}: {' '.join(str(error).split())[:500]}"
            continue
        uri = "data:image/gif;base64," + base64.b64encode(data).decode()
        if len(uri) <= room:
            room -= len(uri)
            height, width = frames[0].shape[:2]
            size = (WIDTH, round(WIDTH * height / width))
            found.append(Clip(sample=sample, uri=uri, size=size, faithful=row.get("digest") == sample.digest))
    return tuple(found), tuple(silent.values())


def gif(frames: Frames) -> bytes:
    """Return the last seconds of an episode as an animated GIF.

    Raises:
        ValueError: If there are no images.
    """
    if not len(frames):
        raise ValueError("the environment gave no images.")
    last = list(frames[-1::-_KEPT][: int(SECONDS * _FRAMES_PER_SECOND / _KEPT)])[::-1]
    images = [Image.fromarray(np.asarray(frame, np.uint8)) for frame in last]
    size = (WIDTH, max(1, round(WIDTH * images[0].height / images[0].width)))
    small = [image.convert("RGB").resize(size, Image.Resampling.BILINEAR) for image in images]
    # One palette for all frames keeps what stands still the same from frame to frame, which is what a GIF
    # saves on.
    palette = small[len(small) // 2].quantize(_COLOURS)
    first, *rest = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in small)
    durations = [round(1000 * _KEPT / _FRAMES_PER_SECOND)] * len(last)
    durations[-1] = 1200  # long enough to see how it ended
    data = io.BytesIO()
    first.save(data, "GIF", save_all=True, append_images=rest, duration=durations, loop=0)
    return data.getvalue()


def _in_turn(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples so that every policy has its turn, each policy's in the order given."""
    turns: dict[str, int] = {}
    ranked = []
    for sample in samples:
        ranked.append((turns.setdefault(sample.policy, 0), sample))
        turns[sample.policy] += 1
    return [sample for _, sample in sorted(ranked, key=lambda pair: pair[0])]
