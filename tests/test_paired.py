"""Paired differences against simulation, and corrections against statsmodels."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from kangaroo_eval.gate import Rule, gate
from kangaroo_eval.metrics import Point, estimate
from kangaroo_eval.paired import Difference, Pair, difference, holm, mcnemar

stats = pytest.importorskip("scipy.stats")
WHOLE = SimpleNamespace(coverage=1.0, samples=(), asked=0)


def simulated(random, videos, each=3, rate=0.6, drop=0.0, within=0.3, agree=0.5):
    """Two runs on `each` questions a video, whose answers correlate by `within` in a video (a normal copula) and by `agree`
    between the runs; the new run is `drop` lower."""
    shared = random.standard_normal((videos, each))
    scores = []
    for chance in (rate - drop, rate):
        noise = math.sqrt(agree) * shared + math.sqrt(1 - agree) * random.standard_normal((videos, each))
        video = random.standard_normal((videos, 1))
        latent = math.sqrt(within) * video + math.sqrt(1 - within) * noise
        scores.append(latent < stats.norm.ppf(chance))
    new, old = scores
    return [Pair(float(new[v, q]), float(old[v, q]), f"v{v}") for v in range(videos) for q in range(each)]


def test_one_mean_is_that_of_the_metric():
    """Against a baseline of zeros the difference is the score, with the score's own clustered error."""
    random = np.random.default_rng(0)
    pairs = [Pair(float(random.random() < 0.6), 0.0, f"v{i // 3}", f"g{i % 2}") for i in range(60)]
    found = difference(pairs)
    points = [Point(pair.new, pair.cluster, pair.group, readable=True) for pair in pairs]
    wanted = estimate(points, macro=True)
    assert (found.value, found.stderr) == pytest.approx((wanted.value, wanted.stderr))
    assert (found.n, found.clusters) == (60, 20)


def test_tasks_weigh_alike_and_share_their_videos():
    a = [Pair(1.0, 0.0, "v1"), Pair(1.0, 1.0, "v2")]
    b = [Pair(0.0, 1.0, "v1"), Pair(1.0, 1.0, "v2"), Pair(1.0, 1.0, "v3"), Pair(1.0, 1.0, "v4")]
    both = difference(a, b)
    assert both.value == pytest.approx((0.5 - 0.25) / 2) and both.clusters == 4 and both.n == 6
    assert (both.gained, both.lost) == (1, 1)
    assert difference(a).stderr == pytest.approx(math.sqrt(2 / 1 * (0.25**2 + 0.25**2)))
    with pytest.raises(ValueError, match="no sample"):
        difference([])


def test_nothing_changed_is_no_difference_and_no_error():
    same = difference([Pair(1.0, 1.0, "a"), Pair(0.0, 0.0, "b")])
    assert same.identical and same.interval(0.1) == (0.0, 0.0) and same.p_lower() == 1.0
    assert same.detectable(0.05) is None


def test_one_video_tells_nothing():
    one = difference([Pair(1.0, 0.0, "a"), Pair(0.0, 1.0, "a")])
    assert one.stderr is None and one.interval(0.1) == (-math.inf, math.inf) and one.p_lower() == 1.0


def test_flips_that_cancel_are_no_proof_of_sameness():
    pairs = [Pair(1.0, 0.0, f"a{i}") for i in range(20)] + [Pair(0.0, 1.0, f"b{i}") for i in range(20)]
    low, high = difference(pairs).interval(0.1)
    assert low < -0.2 and high > 0.2


@pytest.mark.parametrize(("videos", "drop"), [(40, 0.0), (100, 0.05)])
def test_intervals_cover_as_often_as_they_say(videos, drop):
    """3 questions a video that correlate by 0.3: nominal 95 % intervals cover 93 to 97 %."""
    random = np.random.default_rng(1)
    rounds = 2000
    inside = 0
    for _ in range(rounds):
        low, high = difference(simulated(random, videos, drop=drop)).interval(0.05)
        inside += low <= -drop <= high
    assert 0.93 <= inside / rounds <= 0.97


def test_an_interval_that_forgets_the_videos_covers_too_seldom():
    """What the clusters are for: where runs differ video by video, the plain paired interval is far too narrow."""
    random = np.random.default_rng(2)
    inside = {"clustered": 0, "plain": 0}
    for _ in range(400):
        by_video = random.standard_normal(60)
        pairs = [
            Pair(float(by_video[v] > 0), float(by_video[v] < 0), f"v{v}") for v in range(60) for _ in range(3)
        ]
        alone = [pair._replace(cluster=str(i)) for i, pair in enumerate(pairs)]
        for name, each in (("clustered", pairs), ("plain", alone)):
            low, high = difference(each).interval(0.05)
            inside[name] += low <= 0 <= high
    assert inside["clustered"] / 400 > 0.92 > 0.85 > inside["plain"] / 400


def test_holm_is_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    random = np.random.default_rng(3)
    for count in (1, 2, 7):
        values = {f"t{i}": float(p) for i, p in enumerate(random.random(count) ** 3)}
        wanted = multitest.multipletests(list(values.values()), method="holm")[1]
        assert list(holm(values).values()) == pytest.approx(list(wanted))


def test_mcnemar_is_statsmodels():
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    for gained, lost in ((5, 1), (0, 8), (30, 41), (3, 3)):
        wanted = tables.mcnemar([[9, gained], [lost, 9]], exact=True).pvalue
        assert mcnemar(gained, lost) == pytest.approx(wanted)
    assert mcnemar(0, 0) == 1.0


def test_the_detectable_drop_is_found_four_times_of_five():
    random = np.random.default_rng(4)
    sample = difference(simulated(random, 200))
    drop = sample.detectable(0.05)
    found = 0
    for _ in range(600):
        each = difference(simulated(random, 200, drop=drop))
        found += each.p_lower() < 0.05
    assert 0.74 < found / 600 < 0.87


def made(difference_, name="t"):
    """A comparison of one task as far as the gate looks."""
    task = SimpleNamespace(name=name, careful=difference_, new=WHOLE, old=WHOLE)
    return SimpleNamespace(tasks=(task,), overall=difference_, only_old=(), unscored=())


def several(tasks):
    each = tuple(
        SimpleNamespace(name=f"t{i}", careful=difference(pairs), new=WHOLE, old=WHOLE)
        for i, pairs in enumerate(tasks)
    )
    return SimpleNamespace(tasks=each, overall=difference(*tasks), only_old=(), unscored=())


@pytest.mark.parametrize("count", [1, 4])
def test_false_alarms_stay_at_alpha(count):
    """Runs that are equally good, one task and several: the gate calls a regression at most as often as alpha."""
    random = np.random.default_rng(5)
    rounds, alarms = 1000, 0
    for _ in range(rounds):
        tasks = [[p._replace(cluster=f"{t}{p.cluster}") for p in simulated(random, 60)] for t in range(count)]
        alarms += gate(several(tasks), Rule(alpha=0.1)).outcome == "regression"
    assert alarms / rounds <= 0.1 + 2 * math.sqrt(0.1 * 0.9 / rounds)


@pytest.mark.parametrize(
    ("points", "stderr", "videos", "outcome"),
    [
        (0.0, 0.5, 300, "pass"),
        (-0.9, 0.5, 300, "pass"),  # surely worse, but by less than half the margin
        (-1.5, 0.2, 300, "regression"),  # within the margin, and surely lower by more than half of it
        (-3.0, 1.0, 300, "regression"),
        (-3.0, 2.5, 300, "inconclusive"),
        (0.0, 2.5, 300, "inconclusive"),
        (5.0, 2.0, 300, "pass"),
        (-30.0, 1.0, 29, "inconclusive"),
    ],
)
def test_the_rule(points, stderr, videos, outcome):
    found = Difference(points / 100, stderr / 100, 3 * videos, videos, gained=5, lost=7)
    verdict = gate(made(found), Rule())
    assert verdict.outcome == outcome
    assert verdict.exit_code == {"pass": 0, "regression": 4, "inconclusive": 5}[outcome]
