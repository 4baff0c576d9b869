"""Which features a picture shows: those named, or those that tell groups apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesmix.inputs import as_table
from bayesmix.plots.columns import chosen, column, separating, separating_components
from tests.fixtures_post import permuted, planted, random_permutations
from tests.fixtures_varying import planted_varying
from tests.support import Parameters, rows_of

NAMES = tuple("abcde")
APART = [1, 3]  # the features in which the planted components differ


def parameters(distance: float = 5.0, d: int = 5) -> Parameters:
    """Three components, each at its own place in two features, all in one place in the others."""
    means = np.zeros((3, d))
    means[1, 1], means[2, 3] = distance, distance
    return Parameters(np.array([0.5, 0.3, 0.2]), means, np.array([np.eye(d)] * 3))


@pytest.fixture(scope="module")
def tree():
    table = pd.DataFrame(rows_of(parameters(), 60), columns=list(NAMES))
    return planted(parameters(), table, draws=15)


@pytest.fixture
def table():
    return as_table(pd.DataFrame(np.eye(5), columns=list(NAMES)))


class TestComponents:
    def test_those_in_which_components_differ(self, tree):
        assert separating_components(tree, 2) == APART
        assert separating_components(tree, 5) == [0, 1, 2, 3, 4]

    def test_labels_may_be_permuted_at_every_draw(self, tree):
        switched = permuted(tree, random_permutations(tree))
        assert separating_components(switched, 2) == APART

    def test_means_of_switched_labels_are_not_averaged_first(self):
        """After half of the draws are switched both components have the same mean of means."""
        means, covariances = parameters().means[:2], parameters().covariances[:2]
        point = Parameters(np.full(2, 0.5), means, covariances)
        half = np.tile([0, 1], (2, 10, 1))
        half[:, ::2] = [1, 0]
        tree = permuted(planted(point, rows_of(point, 30), draws=10), half)
        assert abs(np.diff(tree["posterior"]["means"].values.mean(axis=(0, 1))[:, 1])) < 0.1
        assert separating_components(tree, 1) == [1]

    def test_the_number_of_components_may_vary(self):
        means = np.array([[0.0, 0.0], [0.0, 7.0], [1.0, 14.0]])
        point = Parameters(np.full(3, 1 / 3), means, np.array([np.eye(2)] * 3))
        tree, _ = planted_varying(point, rows_of(point, 60), chains=2, draws=20)
        assert separating_components(tree, 1) == [1]

    def test_components_without_weight_count_for_nothing(self):
        point = parameters()
        means = point.means.copy()
        means[2, 4] = 1e3
        point = Parameters(np.array([0.6, 0.4, 1e-9]), means, point.covariances)
        assert separating_components(planted(point, rows_of(point, 30)), 1) == [1]

    def test_units_are_nothing(self):
        """Far in centimeters is near in kilometers: what counts is the spread within."""
        point = parameters()
        units = np.array([1e6, 1.0, 1.0, 1e-6, 1.0])
        scaled = Parameters(
            point.weights, point.means * units, point.covariances * np.outer(units, units)
        )
        assert separating_components(planted(scaled, rows_of(scaled, 30)), 2) == APART

    def test_one_component_has_its_first_features(self):
        point = Parameters(np.ones(1), np.zeros((1, 4)), np.eye(4)[None])
        assert separating_components(planted(point, rows_of(point, 30)), 2) == [0, 1]


class TestGroups:
    def test_those_in_which_groups_of_rows_differ(self):
        point = parameters()
        x, label = rows_of(point, 200, seed=1), np.repeat([2, 5, 9], [100, 60, 40])
        x[label == 5, 1] += 9
        x[label == 9, 3] -= 9
        assert separating(x, label, 2) == APART

    def test_what_is_constant_separates_nothing(self):
        x = np.random.default_rng(0).normal(size=(40, 3))
        x[:, 0], x[:20, 2] = 3.0, x[:20, 2] + 4
        label = np.repeat([0, 1], 20)
        assert separating(x, label, 1) == [2]
        assert separating(x, label, 2) == [1, 2]
        assert separating(np.ones((4, 3)), np.array([0, 0, 1, 1]), 2) == [0, 1]

    def test_groups_do_not_differ_by_the_rounding_of_their_means(self):
        x = np.random.default_rng(0).normal(size=(86, 2))
        x[:, 0], x[:58, 1] = 10.354738005718236, x[:58, 1] + 1
        assert x[:58, 0].mean() != x[58:63, 0].mean()  # which are of the same numbers
        assert separating(x, np.repeat([0, 1, 2], [58, 5, 23]), 2) == [0, 1]
        assert separating(x, np.repeat([0, 1, 2], [58, 5, 23]), 1) == [1]

    def test_constant_in_every_group_is_the_best(self):
        x = np.random.default_rng(0).normal(size=(40, 3)) + np.repeat([[0.0], [3.0]], 20, axis=0)
        x[:, 1] = np.repeat([0.0, 1.0], 20)
        assert separating(x, np.repeat([0, 1], 20), 1) == [1]

    def test_one_group_and_one_row(self):
        assert separating(np.ones((1, 4)), np.array([7]), 2) == [0, 1]
        x = np.random.default_rng(0).normal(size=(9, 3))
        assert separating(x, np.zeros(9, int), 2) == [0, 1]


class TestChosen:
    def of_many(self, most: int) -> list[int]:
        assert most == 2
        return APART

    def test_of_many_what_is_picked(self, table):
        assert chosen(table, None, self.of_many) == APART

    @pytest.mark.parametrize("d", [1, 2])
    def test_of_one_or_two_all(self, d):
        table = as_table(np.eye(2)[:, :d])
        assert chosen(table, None, lambda most: pytest.fail("nothing to pick")) == list(range(d))

    @pytest.mark.parametrize(
        ("features", "expected"),
        [
            (("d", "a"), [3, 0]),
            (["c"], [2]),
            ("c", [2]),
            (np.array(["b", "e"]), [1, 4]),
            (pd.Index(["e"]), [4]),
        ],
    )
    def test_those_named_in_their_order(self, table, features, expected):
        assert chosen(table, features, self.of_many) == expected

    def test_names_that_are_numbers(self):
        table = as_table(pd.DataFrame(np.eye(3), columns=[10, 20, 30]))
        assert chosen(table, [30, 10], self.of_many) == [2, 0]
        assert column(table, "20") == 1

    @pytest.mark.parametrize(
        ("features", "message"),
        [
            ((), r"features: expected one or two different names, got \(\)"),
            (("a", "a"), r"features: expected one or two different names, got \('a', 'a'\)"),
            (tuple("abc"), "features: expected one or two different names"),
            (("a", "z"), "features: expected names among a, b, c, d, e, got 'z'"),
            ("ab", "features: expected names among a, b, c, d, e, got 'ab'"),
        ],
    )
    def test_errors(self, table, features, message):
        with pytest.raises(ValueError, match=f"^{message}"):
            chosen(table, features, self.of_many)

    def test_a_column_that_is_not_there(self, table):
        with pytest.raises(ValueError, match=r"^features: expected names among a, b, c, d, e"):
            column(table, "f")


def test_a_number_is_one_name():
    table = as_table(pd.DataFrame(np.eye(3)))
    assert chosen(table, 2, list) == [2]
