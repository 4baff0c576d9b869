"""The packaged data: the right copies, byte for byte, with their provenance."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np
import pytest

import bayesmix as bm

SHA256 = {
    "acidity": "0d5f0f1280b417dc1740c4e3f2fb5da6bc913cc9cd4302b1acd72f80e92d217e",
    "enzyme": "ef49b147f163b45c8c073f047e04234295b1ea077078fc1da1fbc130c2776e6b",
    "faithful": "2da9ef67231ab7542d2ec3e5a741a8d53ada92a24103195ce7d1f9b8e36a986d",
    "galaxy": "3d2fe0205793497e1f7ee51b2da9ebc238859284fa72c66b2f9241a260a7058b",
    "iris": "d440daded18634c1da2f05e6b1a30385f2aca6cd38455b31d263e1657260112a",
}
SHAPES = {
    "acidity": (155, 1),
    "enzyme": (245, 1),
    "faithful": (272, 2),
    "galaxy": (82, 1),
    "iris": (150, 4),
}


def test_names():
    assert bm.datasets.names() == tuple(SHA256)


@pytest.mark.parametrize("name", SHA256)
def test_bytes_and_shape(name):
    content = files("bayesmix.datasets").joinpath(f"{name}.csv").read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256[name]
    x = bm.datasets.load(name)
    assert x.shape == SHAPES[name]
    assert (x.dtypes == np.float64).all() or name == "faithful"
    assert np.isfinite(x.to_numpy()).all()


def test_the_copies_with_the_known_traps():
    galaxy = bm.datasets.load("galaxy")
    assert galaxy.iloc[77, 0] == 26.960  # row 78; MASS has 26.690
    assert galaxy.iloc[:, 0].is_monotonic_increasing
    faithful = bm.datasets.load("faithful")
    assert list(faithful.columns) == ["eruptions", "waiting"]
    assert tuple(faithful.iloc[0]) == (3.6, 79)
    iris = bm.datasets.load("iris").to_numpy()
    # rows 35 and 38 as Fisher printed them; the UCI copy differs there
    np.testing.assert_array_equal(iris[34], [4.9, 3.1, 1.5, 0.2])
    np.testing.assert_array_equal(iris[37], [4.9, 3.6, 1.4, 0.1])
    assert bm.datasets.load("acidity").to_numpy().max() < 8  # logged


def test_labels():
    x, labels = bm.datasets.load("iris", labels=True)
    assert "Species" not in x
    assert labels.value_counts().tolist() == [50, 50, 50]
    with pytest.raises(ValueError, match="'galaxy' has no labels; iris has"):
        bm.datasets.load("galaxy", labels=True)


@pytest.mark.parametrize("name", ["geyser", "", "../iris", "README", "iris.csv"])
def test_unknown_names(name):
    with pytest.raises(ValueError, match="data set: expected one of acidity, enzyme, "):
        bm.datasets.load(name)


@pytest.mark.parametrize("name", SHA256)
def test_provenance_is_stated(name):
    readme = files("bayesmix.datasets").joinpath("README.md").read_text("utf8")
    line = next(line for line in readme.splitlines() if line.startswith(f"| {name}.csv |"))
    rows, *_ = SHAPES[name]
    assert line.split("|")[2].strip() == str(rows)
    assert any(year in line for year in ("19", "20"))
