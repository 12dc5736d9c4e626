"""A verdict in words: what an adapter is, against bars that were measured, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from adapter import PRESETS, AdapterInfo, Verdict

ENOUGH_CROPS = 300
"""Of the camera: with fewer a verdict's figures are rough, and an adapter has little to learn from.
Those that come with the package had 471 of each of five objects (docs/training.md)."""

# Bars lie between what docs/training.md ("The verdict") has measured: plain renders and an adapter
# of six steps on their far side, linemod-rgbd-fast and one of preset best on their near one.
MOST_TOLD_APART = 97.0
"""Percent: renders, six steps and a hundred 100, linemod-rgbd-fast 83, best 80."""
MOST_DISTANCE = 1.0
"""Renders 952, six steps 454, a hundred 1.5, linemod-rgbd-fast 0.29, best 0.12."""
MOST_LEFT = 0.5
"""Of the kernel distance of the middles of renders: a fresh generator of preset best, which leaves
them nearly as they are, 1.0, one that was trained 0.22, linemod-rgbd-fast 0.006."""
_NEAR = 0.05
"""Kernel distance of middles that is too small to be halved."""
MOST_UNFAITHFUL = 10.0
"""Percent: six steps 76, a hundred 34, linemod-rgbd-fast 1.0, best and renders 0."""
LEAST_VARIED = 0.5
"""Of 255, on objects and off them: linemod-rgbd-fast 6.1 and 45, best 2.0 on objects."""


@dataclass(frozen=True)
class Fault:
    """Something by which an adapter is below the bar."""

    what: str
    """What was measured, for people."""
    advice: str
    """What to do, settings in backticks."""


def faults_of(info: AdapterInfo) -> list[Fault]:
    """What puts an adapter below the bar, the worst first; nothing where nothing was measured."""
    verdict = info.verdict
    if verdict is None:
        return []
    found = []
    if verdict.unfaithful_percent > MOST_UNFAITHFUL:
        found.append(
            Fault(
                f"the label of {_percent(verdict.unfaithful_percent)} of its crops is in doubt",
                "raise `similarity_weight` and `depth_weight`, which keep objects in place, and "
                "look at the sample pictures",
            )
        )
    # What is behind objects is none of the work of an adapter that keeps it.
    distant = None if info.keeps_background else _distant_words(verdict)
    if distant is not None:
        found.append(
            Fault(
                distant,
                "see in the target's picture and in the sample pictures whether objects are cut, "
                "as large and as far as your camera's, or align your crops and take `preset` best",
            )
        )
    if _leaves_objects(verdict):
        found.append(
            Fault(
                "its objects are hardly nearer to the camera's than renders are (kernel distance "
                f"of the middles {_number(verdict.middle_distance)}, before "
                f"{_number(verdict.middle_distance_before)})",
                "train longer, or see in the sample pictures whether it changes objects at all",
            )
        )
    return found


def _distant_words(verdict: Verdict) -> str | None:
    """How far crops are from the camera's, where they are too far."""
    if verdict.told_apart_percent > MOST_TOLD_APART:
        share = _percent(verdict.told_apart_percent)
        return (
            f"nearly all of its crops can be told from the camera's ({share}; guessing tells 50 %)"
        )
    if verdict.distance > MOST_DISTANCE:
        return f"its crops are far from the camera's (kernel distance {_number(verdict.distance)})"
    return None


def _leaves_objects(verdict: Verdict) -> bool:
    bar = max(MOST_LEFT * verdict.middle_distance_before, _NEAR)
    return verdict.middle_distance > bar


def is_below_bar(info: AdapterInfo) -> bool:
    """Whether an adapter was measured, and found not to be worth using."""
    return bool(faults_of(info))


def headline(info: AdapterInfo) -> str | None:
    """The verdict in short, as in "below the bar: ..."; None where there is none."""
    if info.verdict is None:
        return None
    faults = faults_of(info)
    if not faults:
        return "good enough to use"
    return f"below the bar: {', and '.join(fault.what for fault in faults)}"


def note_of(info: AdapterInfo, name: str) -> str | None:
    """What a run that uses an adapter says of it, where it is below the bar.

    Args:
        info: the adapter's description.
        name: as it was given.
    """
    if not is_below_bar(info):
        return None
    return (
        f"the adapter {name} is {headline(info)}; render-adapt adapters show {name} says what to do"
    )


def paragraph(info: AdapterInfo) -> str:
    """The verdict for people: what it is, its figures beside known ones, and what to do next.

    Settings are in backticks, as in messages. Empty where there is no verdict.
    """
    verdict, short = info.verdict, headline(info)
    if verdict is None or short is None:
        return ""
    sentences = [f"{_capital(short)}.", *_figures(verdict), *_steps_words(info)]
    return " ".join([*sentences, f"What to do: {'; '.join(advice(info))}."])


def advice(info: AdapterInfo) -> list[str]:
    """What to do next, the first thing first."""
    verdict, faults = info.verdict, faults_of(info)
    if verdict is None:
        return []
    found = []
    if faults and _is_unfinished(info):
        found.append("train on, by the same command with more `steps` or `max_minutes`")
    if verdict.real_crops < ENOUGH_CROPS:
        found.append(
            f"give more crops of your camera, {ENOUGH_CROPS} or more: these were "
            f"{verdict.real_crops}, and the figures above are rough"
        )
    if not (faults and _is_unfinished(info)):
        found += [fault.advice for fault in faults]
    if _is_monotonous(verdict):
        found.append(
            "noise changes next to nothing, so that a render always looks the same: raise "
            "`diversity_weight`"
            if verdict.noise_off_object is not None
            else "noise changes next to nothing: let `randomize` vary what it is given"
        )
    return found or ["use it; look at a run's contact sheet first"]


def _figures(verdict: Verdict) -> list[str]:
    near = (
        f"Of {verdict.crops} of its crops beside {verdict.real_crops} of the camera's, a "
        f"classifier tells {_percent(verdict.told_apart_percent)} apart (50 % is guessing, "
        "linemod-rgbd-fast 83 %, plain renders 100 %)."
    )
    distance = (
        f"Their kernel distance is {_number(verdict.distance)}, where that of the same crops "
        f"before they were adapted is {_number(verdict.distance_before)} (linemod-rgbd-fast "
        f"0.29); of their middles, where objects are, it is {_number(verdict.middle_distance)}, "
        f"and was {_number(verdict.middle_distance_before)}."
    )
    labels = (
        f"The judge that comes with the package doubts {_percent(verdict.unfaithful_percent)} of "
        "labels (linemod-rgbd-fast 1 %)."
    )
    return [near, distance, labels, *_noise_words(verdict)]


def _noise_words(verdict: Verdict) -> list[str]:
    if verdict.noise_on_object is None:
        return []
    off = verdict.noise_off_object
    behind = "" if off is None else f" and by {_number(off)} off them"
    on = _number(verdict.noise_on_object)
    return [f"Noise alone changes a pixel by {on} of 255 on objects{behind}."]


def _steps_words(info: AdapterInfo) -> list[str]:
    if not _is_unfinished(info):
        return []
    of_preset = f"{PRESETS[info.preset].steps:,} of preset {info.preset}"
    return [f"It was trained for {info.steps:,} steps, where {of_preset} are usual."]


def _is_unfinished(info: AdapterInfo) -> bool:
    """Whether it had less than half of the steps that its preset has."""
    return info.preset in PRESETS and info.steps < PRESETS[info.preset].steps / 2


def _is_monotonous(verdict: Verdict) -> bool:
    noise = verdict.noise_on_object, verdict.noise_off_object
    changes = [change for change in noise if change is not None]
    return bool(changes) and max(changes) < LEAST_VARIED


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"


def _percent(value: float) -> str:
    return f"{value:.0f} %" if value >= 1 or value == 0 else "less than 1 %"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
