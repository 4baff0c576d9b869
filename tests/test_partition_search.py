"""The search against enumeration of all partitions, and its tables against counts made anew."""

from __future__ import annotations

import threading
from functools import cache

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.partitions import climbing, room
from bayesmix.partitions import search as searching
from bayesmix.partitions.climbing import Climber, problem_of
from bayesmix.partitions.losses import Loss
from bayesmix.partitions.moves import merge_costs, place
from bayesmix.partitions.room import evenly_seen, most_clusters, most_needed, sampled
from bayesmix.partitions.search import search
from bayesmix.partitions.signatures import signatures_of
from bayesmix.partitions.tables import expected_loss
from tests.exact_partitions import in_order_of_appearance, set_partitions

LOSSES = [
    Loss("vi"),
    Loss("vi", 2.0, 0.5),
    Loss("vi", 0.5, 2.0),
    Loss("binder"),
    Loss("binder", 0.5, 2.0),
    Loss("omari"),
]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda own: f"{own.name}-{own.merge}")
equal_costs = pytest.mark.parametrize(
    "loss", [Loss("vi"), Loss("binder"), Loss("omari")], ids=lambda own: own.name
)

partitions = cache(set_partitions)


@cache
def posterior(seed):
    """Labels (S, n) of few rows: at random, or around one center or two; often with equal rows."""
    rng = np.random.default_rng(seed)
    n, s, centers = rng.integers(5, 9), rng.integers(3, 31), rng.integers(3)
    every = partitions(int(n))
    if centers == 0:
        z = every[rng.integers(len(every), size=s)]
    else:
        z = every[rng.integers(len(every), size=centers)][rng.integers(centers, size=s)]
        elsewhere = rng.random(z.shape) < rng.choice([0.1, 0.25, 0.4])
        z = np.where(elsewhere, rng.integers(n, size=z.shape), z)
    if rng.random() < 0.5:
        z = np.concatenate([z[:, :1], z[:, :1], z[:, 2:]], axis=1)
    return z


@cache
def sums_of_all(seed, name):
    """Sums of F over clusters of all B partitions (B,), of draws (S,), of what both share (B, S).

    Of the last the means over draws; under the Rand index one minus its means instead.
    """
    z = posterior(seed)
    n = z.shape[1]
    every = partitions(n)
    m = np.arange(n + 1)
    value = m * np.log2(np.maximum(m, 1)) if name == "vi" else m * (m - 1) / 2
    here, there = (
        (own[:, None] == np.arange(n)[:, None]).astype(np.float32)
        for own in (every, in_order_of_appearance(z))
    )
    shared = (here.reshape(-1, n) @ there.reshape(-1, n).T).astype(np.int8)
    joint = value[shared].reshape(len(every), n, len(z), n).sum(axis=(1, 3))
    of_point, of_draw = (value[own.sum(axis=-1).astype(int)].sum(axis=-1) for own in (here, there))
    if name != "omari":
        return of_point, of_draw.mean(), joint.mean(axis=1)
    chance, most = of_point[:, None] * of_draw / value[n], (of_point[:, None] + of_draw) / 2
    same = most == chance
    index = np.where(same, 1, (joint - chance) / np.where(same, 1, most - chance))
    return 1 - index.mean(axis=1)


def losses_of_all(seed, loss):
    """Expected losses of all partitions, (B,)."""
    if loss.name == "omari":
        return sums_of_all(seed, "omari")
    of_point, of_draw, joint = sums_of_all(seed, loss.name)
    n = posterior(seed).shape[1]
    total = loss.merge * of_point + loss.split * of_draw - (loss.merge + loss.split) * joint
    return total / (n if loss.name == "vi" else n * n / 2)


def brute_force(c, draws, loss):
    """Expected loss by its definition."""
    if loss.name == "vi":
        return bm.variation_of_information(c, draws).mean()
    if loss.name == "omari":
        return 1 - np.mean([adjusted_rand_score(c, z) for z in draws])
    here, there = c[:, None] == c, draws[:, :, None] == draws[:, None]
    return np.mean(loss.merge * (here & ~there) + loss.split * (~here & there))


def planted(n, s, k, seed=0, sure=0.5):
    """Labels (S, n) around a partition (n,); the share ``sure`` of the rows never moves."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(k, size=n)
    stays = np.where(rng.random(n) < sure, 1, rng.uniform(0.6, 1, n))
    return truth, np.where(rng.random((s, n)) < stays, truth, (truth + 1) % k)


def found(z, loss, seed=0, starts=(), **options):
    return search(signatures_of(z), loss, starts, generator=np.random.default_rng(seed), **options)


def shaken_up(loss, seed=0):
    """A climber at a random partition of columns, several of them of some rows."""
    rng = np.random.default_rng(seed)
    z = rng.integers(4, size=(12, 30))[:, rng.integers(30, size=60)]
    rows = signatures_of(z)
    assert rows.weight.max() > 1
    return Climber(problem_of(rows, loss, 100), rng.integers(5, size=len(rows)), rng)


@every_loss
def test_losses_are_what_they_are_defined_as(loss):
    for seed in range(4):
        if loss.name == "vi" and loss.merge != 1:
            continue
        z, every = posterior(seed), partitions(posterior(seed).shape[1])
        for k in range(0, len(every), 1 + len(every) // 8):
            expected = brute_force(every[k], z, loss)
            assert losses_of_all(seed, loss)[k] == pytest.approx(expected, abs=1e-12)


def misses(loss, seeds):
    """How many of some posteriors' best partitions are not found."""
    missed = 0
    for seed in seeds:
        best = losses_of_all(seed, loss).min()
        own = found(posterior(seed), loss, seed, n_runs=4)
        assert own.expected_loss >= best - 1e-12
        assert own.expected_loss == pytest.approx(of_label(own.label, seed, loss), abs=1e-12)
        missed += own.expected_loss > best + 1e-9
    return missed


def of_label(label, seed, loss):
    """Enumerated expected loss of a partition."""
    same = partitions(len(label)) == in_order_of_appearance(label)
    return losses_of_all(seed, loss)[np.flatnonzero(same.all(axis=1))[0]]


@every_loss
def test_finds_the_best_of_all_partitions(loss):
    assert misses(loss, range(40)) == 0


@pytest.mark.slow
@every_loss
def test_finds_the_best_of_all_partitions_of_many_posteriors(loss):
    assert misses(loss, range(500)) <= 5


@every_loss
def test_moves_leave_tables_as_counted_anew(loss):
    climber = shaken_up(loss)
    problem = climber.problem
    rng = np.random.default_rng(1)
    for _ in range(50):
        which = rng.permutation(len(problem.rows))[:5]
        place(which, rng.integers(-1, 6, 5), problem.items, problem.terms, climber.tables)
    climber.allocate()
    climber.settle()
    anew = problem.tables(climber.tables.label)
    used = np.flatnonzero(climber.tables.size)
    for name in ("size", "shared", "gain"):
        own, expected = getattr(climber.tables, name), getattr(anew, name)
        np.testing.assert_array_equal(own[..., used], expected[..., used])
    if loss.name == "omari":
        np.testing.assert_array_equal(climber.tables.joint, anew.joint)
    expected = expected_loss(climber.label, problem.rows, loss)
    assert problem.value(climber.tables) == pytest.approx(expected, abs=1e-12)


@every_loss
def test_equal_rows_move_apart(loss):
    climber = shaken_up(loss)
    problem = climber.problem
    climber.settle_rows()
    rng = np.random.default_rng(1)
    which = rng.permutation(problem.rows.n)[:20]
    place(which, rng.integers(5, size=20), climber.items, problem.terms, climber.tables)
    apart = problem.rows.expanded()
    for _ in range(2):
        expected = expected_loss(climber.label, apart, loss)
        assert problem.value(climber.tables) == pytest.approx(expected, abs=1e-12)
        climber.settle()


@every_loss
def test_merging_changes_the_loss_as_told(loss):
    climber = shaken_up(loss)
    problem = climber.problem
    label, rows = climber.label, problem.rows
    change = merge_costs(rows.start, problem.terms, climber.tables)
    scale = {"vi": rows.n, "binder": rows.n**2 / 2, "omari": 1}[loss.name]
    for j in range(5):
        for k in range(j + 1, 5):
            merged = expected_loss(np.where(label == k, j, label), rows, loss)
            difference = merged - expected_loss(label, rows, loss)
            assert change[j, k] / scale == pytest.approx(difference, abs=1e-12)


@every_loss
def test_settles_where_nothing_betters(loss):
    """Neither one column in another cluster, or alone, nor one pair of clusters merged."""
    climber = shaken_up(loss)
    rows = climber.problem.rows
    climber.settle()
    label = climber.label
    k = int(label.max()) + 1
    least = expected_loss(label, rows, loss)
    for i in range(len(rows)):
        for j in range(k + 1):
            moved = label.copy()
            moved[i] = j
            assert expected_loss(moved, rows, loss) >= least - 1e-9
    for j in range(k):
        for other in range(j):
            merged = np.where(label == j, other, label)
            assert expected_loss(merged, rows, loss) >= least - 1e-9


@every_loss
def test_no_worse_than_any_start(loss):
    z = planted(80, 30, 5)[1]
    rows = signatures_of(z)
    rng = np.random.default_rng(1)
    best = found(z, loss).label
    first = np.unique(rows.of_row, return_index=True)[1]
    starts = [best[first], rng.integers(9, size=len(rows)), np.zeros(len(rows), int)]
    own = found(z, loss, starts=starts, n_runs=0)
    assert own.expected_loss <= min(expected_loss(start, rows, loss) for start in starts)
    assert own.n_runs == 3
    assert 1 <= own.n_best <= 3


@every_loss
def test_the_best_start_is_returned_if_runs_find_no_better(loss, monkeypatch):
    z = planted(80, 30, 5)[1]
    best = found(z, loss)
    monkeypatch.setattr(climbing, "_MOST_SWEEPS", 0)
    monkeypatch.setattr(searching, "_PATIENCE", 0)
    monkeypatch.setattr(searching, "_first", lambda r, rows, _: np.zeros(len(rows), int))
    start = best.label[np.unique(signatures_of(z).of_row, return_index=True)[1]]
    assert found(z, loss, n_runs=1).expected_loss > best.expected_loss
    own = found(z, loss, n_runs=1, starts=[start])
    np.testing.assert_array_equal(own.label, best.label)


@every_loss
def test_names_and_orders_do_not_matter(loss):
    _, z = planted(150, 40, 6)
    own = found(z, loss)
    names = np.random.default_rng(1).permuted(np.tile(np.arange(50), (40, 1)), axis=1)
    again = found(np.take_along_axis(names, z, axis=1), loss)
    np.testing.assert_array_equal(again.label, own.label)
    assert again.expected_loss == own.expected_loss
    order = np.random.default_rng(2)
    draws, rows = order.permutation(40), order.permutation(150)
    other = found(z[draws][:, rows], loss)
    assert other.expected_loss == pytest.approx(own.expected_loss, abs=1e-9)
    np.testing.assert_array_equal(
        in_order_of_appearance(other.label), in_order_of_appearance(own.label[rows])
    )


def test_threads_and_time_do_not_matter(monkeypatch):
    z = planted(300, 50, 8, sure=0.1)[1]
    own = found(z, Loss("vi"))
    for threads in "12":
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        again = found(z, Loss("vi"))
        np.testing.assert_array_equal(again.label, own.label)
        assert (again.expected_loss, again.n_best) == (own.expected_loss, own.n_best)


@every_loss
def test_equal_rows_may_be_told_once_or_not(loss):
    _, z = planted(30, 12, 4)
    z = z[:, np.random.default_rng(1).integers(30, size=90)]
    rows = signatures_of(z)
    assert len(rows) < 30
    apart = search(rows.expanded(), loss, [], generator=np.random.default_rng(0))
    assert found(z, loss).expected_loss == pytest.approx(apart.expected_loss, abs=1e-9)


@every_loss
def test_most_clusters(loss):
    z = planted(60, 20, 5)[1]
    start = np.arange(len(signatures_of(z)))
    few = found(z, loss, starts=[start], max_clusters=3)
    free = found(z, loss)
    assert few.label.max() == 2
    assert few.capped
    assert free.label.max() > 2
    assert not free.capped
    assert few.expected_loss > free.expected_loss


def test_largest_first():
    z = np.tile([2, 0, 0, 1, 5, 5, 5], (3, 1))
    own = found(z, Loss("vi"))
    np.testing.assert_array_equal(own.label, [2, 1, 1, 3, 0, 0, 0])
    assert own.expected_loss == 0


@every_loss
@pytest.mark.parametrize("row", [[0], [0, 0, 0], [0, 1, 2, 3]])
def test_extremes(loss, row):
    own = found(np.array([row, row]), loss)
    np.testing.assert_array_equal(own.label, row)
    assert own.expected_loss == 0


@every_loss
@pytest.mark.parametrize("row", [[0, 0, 0], [0, 1, 2]])
def test_settles_at_extremes(loss, row):
    rows = signatures_of(np.array([row, row])).expanded()
    climber = Climber(problem_of(rows, loss, 9), np.array([0, 0, 1]), np.random.default_rng(0))
    climber.settle()
    np.testing.assert_array_equal(in_order_of_appearance(climber.label), row)


@every_loss
def test_no_worse_than_cuts_of_trees(loss):
    z = planted(400, 100, 8, sure=0.2)[1]
    apart = np.mean([own[:, None] != own for own in z], axis=0)
    rows, own = signatures_of(z), found(z, loss, n_runs=8)
    assert len(rows) > 300
    for method in ("average", "complete"):
        tree = linkage(squareform(apart), method)
        for k in range(1, 21):
            cut = fcluster(tree, k, "maxclust")[np.unique(rows.of_row, return_index=True)[1]] - 1
            assert own.expected_loss <= expected_loss(cut, rows, loss) + 1e-12


@pytest.mark.parametrize("collapsed", [True, False])
@equal_costs
def test_samples_of_large_problems_lead_to_all_rows(loss, collapsed, monkeypatch):
    monkeypatch.setattr(room, "_MOST_CELLS", 1)
    monkeypatch.setattr(room, "_SAMPLE", (400, 30))
    truth, z = planted(3000, 60, 6)
    rows = signatures_of(z) if collapsed else signatures_of(z).expanded()
    start = truth[np.unique(rows.of_row, return_index=True)[1]]
    for starts, n_runs in ([], 4), ([start], 1):
        rng = np.random.default_rng(0)
        own = search(rows, loss, starts, n_runs=n_runs, generator=rng)
        assert adjusted_rand_score(truth, own.label) > 0.98
        assert own.expected_loss <= expected_loss(start, rows, loss) + 1e-12


@pytest.mark.slow
def test_large():
    truth, z = planted(20_000, 300, 12)
    own = found(z, Loss("vi"))
    assert adjusted_rand_score(truth, own.label) > 0.999
    rows = signatures_of(z)
    label = own.label[np.unique(rows.of_row, return_index=True)[1]]
    assert own.expected_loss == pytest.approx(expected_loss(label, rows, Loss("vi")), abs=1e-12)


def many_clusters(s=60, sure=0.7):
    """Labels (S, 120) about 12 clusters, as columns, and these clusters."""
    rng = np.random.default_rng(0)
    truth = rng.integers(12, size=120)
    z = np.where(rng.random((s, 120)) < sure, truth, rng.integers(12, size=(s, 120)))
    return truth, signatures_of(z)


@equal_costs
def test_many_draws_do_not_force_few_clusters(loss, monkeypatch):
    truth, rows = many_clusters(sure=0.8)
    monkeypatch.setattr(room, "_RUN_BYTES", 12 * int(rows.start[-1]) * 5)
    monkeypatch.setattr(room, "_LAST_BYTES", 12 * int(rows.start[-1]) * 8)
    assert most_clusters(rows, []) == 24
    part, last = sampled(rows, 12, np.random.default_rng(0))[1], evenly_seen(rows, 12)
    assert part.n_draws < last.n_draws < rows.n_draws
    own = search(rows, loss, [], generator=np.random.default_rng(0))
    assert adjusted_rand_score(truth, own.label) > 0.9
    assert own.expected_loss == pytest.approx(expected_loss(own.label, rows, loss), abs=1e-12)
    assert not own.capped


@every_loss
def test_a_start_that_wins_settles(loss, monkeypatch):
    truth, rows = many_clusters()
    monkeypatch.setattr(searching, "_run", lambda problem, label, _: searching._End(label * 0, 9.0))
    monkeypatch.setattr(searching, "_PATIENCE", 0)
    start = truth.copy()
    start[:10] = 0
    finish = searching._finished

    def finished(problem, label, rows, generator):
        end = finish(problem, label, rows, generator)
        return searching._End(end.label, 9.0) if label.max() == 0 else end

    monkeypatch.setattr(searching, "_finished", finished)
    own = search(rows, loss, [start], n_runs=0, generator=np.random.default_rng(0))
    assert own.expected_loss < expected_loss(start, rows, loss) - 1e-6


@pytest.mark.parametrize("n_clusters", [3, 40])
def test_limit_is_never_below_a_start(n_clusters, monkeypatch):
    rows = signatures_of(planted(60, 20, 5)[1]).expanded()
    start = np.arange(60) % n_clusters
    assert most_needed(rows, [start]) == max(n_clusters, 5)
    monkeypatch.setattr(room, "_RUN_BYTES", 1)
    assert n_clusters <= most_clusters(rows, [start]) <= 60


def test_one_draw_is_always_seen(monkeypatch):
    rows = signatures_of(planted(60, 20, 5)[1])
    monkeypatch.setattr(room, "_RUN_BYTES", 1)
    monkeypatch.setattr(room, "_LAST_BYTES", 1)
    assert sampled(rows, 5, np.random.default_rng(0))[1].n_draws == 1
    assert evenly_seen(rows, 5).n_draws == 1


def test_limit_is_at_most_one_cluster_for_each_row():
    assert most_clusters(signatures_of(np.tile(np.arange(9), (4, 1))), []) == 9


@every_loss
@pytest.mark.parametrize(
    ("row", "most"), [([0], 1), ([0] * 5, 1), ([0, 1, 2], 3), ([0, 0, 1, 1, 2, 2], 3)]
)
def test_not_capped_where_no_more_could_be_better(loss, row, most):
    own = found(np.tile(row, (9, 1)), loss, max_clusters=most)
    assert own.label.max() + 1 == most
    assert own.expected_loss == 0
    assert own.capped is False


@equal_costs
def test_not_capped_by_as_many_clusters_as_are_best(loss):
    z = planted(100, 40, 4)[1]
    free = found(z, loss)
    most = int(free.label.max()) + 1
    for allowed, capped in (most, False), (most - 1, True):
        own = found(z, loss, max_clusters=allowed)
        assert own.capped is capped
    assert own.expected_loss > free.expected_loss > 0


@equal_costs
@pytest.mark.parametrize("sample", [False, True])
def test_capped_at_two_of_five(loss, sample, monkeypatch):
    if sample:
        monkeypatch.setattr(room, "_MOST_CELLS", 1)
        monkeypatch.setattr(room, "_SAMPLE", (300, 20))
    rng = np.random.default_rng(1)
    truth = rng.integers(5, size=400)
    z = np.where(rng.random((40, 400)) < 0.9, truth, rng.integers(5, size=(40, 400)))
    own = found(z, loss, max_clusters=2, n_runs=4)
    assert own.label.max() == 1
    assert own.capped
    assert not found(z, loss, max_clusters=5, n_runs=4).capped


def test_a_gain_by_no_more_clusters_is_not_capped(monkeypatch):
    truth, rows = many_clusters()
    monkeypatch.setattr(searching, "_run", lambda problem, label, _: searching._End(label, 9.0))
    rng = np.random.default_rng(0)
    assert not searching._gains_by_one_more(rows, Loss("vi"), 40, truth, rng)
    assert searching._gains_by_one_more(rows, Loss("vi"), 1, truth * 0, rng)


def test_compiles_and_prepares_before_threads(monkeypatch):
    threads = []
    for module, name in (climbing, "compile_moves"), (climbing, "_terms"):
        own = getattr(module, name)

        def noted(*args, own=own):
            threads.append(threading.current_thread() is threading.main_thread())
            return own(*args)

        monkeypatch.setattr(module, name, noted)
    found(planted(60, 20, 5)[1], Loss("vi"))
    assert threads == [True, True]


def test_counts_are_plain_numbers():
    z = np.random.default_rng(0).integers(4, size=(10, 200))
    own = found(z, Loss("binder"), n_runs=np.int64(12))
    assert own.n_best < 12
    assert [type(v) for v in (own.n_runs, own.n_best, own.capped)] == [int, int, bool]
