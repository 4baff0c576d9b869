"""The command line: exit codes, one line for bad input, names shown as they are."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.__main__ import main
from bayesmix.diagnostics import Finding
from tests.fixtures_post import cut_short, fake_choice, fake_sample

report = importlib.import_module("bayesmix.report")
fits = importlib.import_module("bayesmix.report_fits")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Planted draws and no figures, a folder of its own, a wide terminal."""
    monkeypatch.setattr(fits, "sample", fake_sample)
    monkeypatch.setattr(fits, "choose_k", fake_choice)
    monkeypatch.setattr(report, "figures", lambda _: iter(()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


def write(text: str, name: str = "rows.csv") -> str:
    Path(name).write_text(text)
    return name


def rows(header: str = "a,b", n: int = 20, extra: str = "") -> str:
    """A CSV file of two features; ``extra`` ends every row."""
    values = np.random.default_rng(0).normal(size=(n, 2)).round(3)
    return "\n".join([header, *(f"{a},{b}{extra}" for a, b in values)]) + "\n"


def interrupt(*_, **__):
    raise KeyboardInterrupt


class TestGood:
    def test_a_csv_file(self, capsys):
        assert main(["report", write(rows()), "--out", "out", "--seed", "3"]) == 0
        said = capsys.readouterr()
        assert said.err == ""
        assert "rows.csv: 20 rows, 2 features, used as they are" in said.out
        assert "posterior mean ± sd" in said.out
        assert "mean a" in said.out
        assert "rows with more than 95%" in said.out
        assert "R-hat" in said.out
        assert "How many groups: 2 clusters" in said.out
        assert "effective draws" in said.out
        assert said.out.splitlines()[-1] == f"Report: {Path('out/index.html')}"
        assert bm.load("out/em.nc").attrs["random_seed"] == 3

    def test_a_packaged_data_set_and_the_default_folder(self):
        assert main(["report", "faithful"]) == 0
        assert "faithful: a Gaussian mixture of 2" in Path("report/index.html").read_text()
        assert bm.load("report/em.nc")["observed_data"].sizes["obs"] == 272

    def test_options_reach_the_report(self, monkeypatch):
        given = {}

        def note(mixture, x, *, draws, random_seed, **_):
            given.update(mixture=mixture, draws=draws, seed=random_seed, features=x.features)
            return fake_sample(mixture, x, draws=draws)

        monkeypatch.setattr(fits, "sample", note)
        command = "report iris --columns Petal.Width,Sepal.Width --components 3 --draws 30 --seed 5"
        assert main([*command.split(), "--covariance-type", "diag"]) == 0
        assert given["mixture"].n_components == 3
        assert given["mixture"].covariance_type == "diag"
        assert (given["draws"], given["seed"]) == (30, 5)
        assert given["features"] == ("Petal.Width", "Sepal.Width")

    @pytest.mark.parametrize("source", ["iris", "csv"])
    def test_known_labels(self, source):
        x, labels = bm.datasets.load("iris", labels=True)
        if source == "csv":
            source = "flowers.csv"
            x.assign(kind=labels).to_csv(source, index=False)
        column = "Species" if source == "iris" else "kind"
        arguments = ["report", source, "--label-column", column, "--components", "3"]
        assert main(arguments) == 0
        page = Path("report/index.html").read_text()
        assert "Known labels against components" in page
        for name in labels.unique():
            assert f"<td>{name}</td>" in page
        assert "mean Petal.Width" in page
        assert f"mean {column}" not in page

    @pytest.mark.parametrize("code", [0, 130])
    def test_brackets_are_no_markup(self, capsys, monkeypatch, code):
        """In the table of both fits, and in that of EM alone."""
        if code == 130:
            monkeypatch.setattr(fits, "sample", interrupt)
        name = write(rows(header="[red]a,[/b]"), name="[bold]rows.csv")
        assert main(["report", name, "--out", "[i]out"]) == code
        out = capsys.readouterr().out
        assert "[bold]rows.csv: 20 rows" in out
        assert "mean [red]a" in out
        assert "mean [/b]" in out
        assert f"Report: {Path('[i]out/index.html')}" in out

    def test_components_that_cannot_be_read_are_not_shown(self, capsys, monkeypatch):
        bad = Finding("warning", "identification", "no component is identified")
        good = Finding("ok", "ess", "effective draws at least 4000")
        monkeypatch.setattr(fits, "diagnose", lambda _: [good, bad])
        assert main(["report", write(rows())]) == 0
        out = capsys.readouterr().out
        assert "posterior mean" not in out
        assert "mean a" in out
        assert "warning no component is identified" in out

    def test_only_the_first_parameters_are_shown(self, capsys):
        assert main(["report", "iris", "--components", "4"]) == 0
        assert "… 12 more in tables/components.csv" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, "", "rows.csv: no such file; give a CSV file, or one of acidity, enzyme, "),
        ("", "", "rows.csv: the file is empty; expected a header and rows"),
        ("a,b\n", "", "rows.csv: expected rows below the header, got none"),
        (
            rows("a,b,kind", extra=",x"),
            "",
            "rows.csv: column 'kind' is not numeric; leave it out with --columns a,b, or name it "
            "with --label-column",
        ),
        ("a;b\n1;2\n3;5\n", "", "rows.csv: column 'a;b' is not numeric; expected commas "),
        (rows() + ",3\n", "", "rows.csv: column 'a' has 1 value(s) that are NaN (first in row 20,"),
        (rows() + "inf,3\n", "", "rows.csv: column 'a' has 1 value(s) that are inf (first in row"),
        ("a,b\n1,2\n", "", "rows.csv: expected at least 2 rows (a mixture needs"),
        ("a,b\n1,2\n", "--components 1", "rows.csv: expected at least 2 rows (a mixture needs"),
        (rows("a,b,c", extra=",7"), "", "rows.csv: column 'c' is constant "),
        (rows(), "--components 21", "rows.csv: expected at least as many rows as components (21)"),
        (rows(), "--columns a,z", "rows.csv: no column 'z'; expected some of a, b"),
        (rows(), "--columns ,", "rows.csv: no column given; expected some of a, b"),
        (rows(), "--columns [red]", "rows.csv: no column '[red]'; expected some of a, b"),
        (rows(), "--columns a,a", "rows.csv: expected distinct column names, got a, a"),
        (rows(), "--label-column z", "rows.csv: no column 'z'; expected some of a, b"),
        ("a\n1\n2\n", "--label-column a", "rows.csv: expected at least one row and one column"),
        (rows("1.5,-2"), "", "rows.csv: the first line holds numbers (1.5, -2, …), not column na"),
        (rows("3.5,3.5"), "", "rows.csv: the first line holds numbers (3.5, 3.5, …), not column "),
        ("1,2\n", "", "rows.csv: the first line holds numbers (1, 2, …), not column names; put a"),
        (rows(extra=",4"), "", "rows.csv: its rows have more fields than the header has names"),
        (rows() + "1,2,3\n", "", "rows.csv: not readable as CSV (Error tokenizing data. C error:"),
        (rows(), "--seed -1", "--seed: expected at least 0, got -1"),
        (rows(), "--draws 0", "--draws: expected at least 1, got 0"),
        (rows(), "--components 0", "--components: expected at least 1, got 0"),
        (rows(), "--out taken", "out: expected a folder, but taken is a file; give another path"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line(text, options, message, capsys):
    Path("taken").write_text("mine")
    if text is not None:
        write(text)
    before = sorted(Path().iterdir())
    arguments = ["report", "rows.csv", *options.split()]
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"bayesmix: {message}")
    assert said.err.count("\n") == 1
    assert said.err.endswith("\n")
    assert sorted(Path().iterdir()) == before
    assert Path("taken").read_text() == "mine"


def test_a_file_that_is_no_text(capsys):
    Path("rows.csv").write_bytes("größe,b\n1,2\n".encode("latin1"))
    assert main(["report", "rows.csv"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("bayesmix: rows.csv: not readable as CSV")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "faithful", "--label-column", "x"], "data set 'faithful' has no labels; iris"),
        (["report", "iris", "--label-column", "kind"], "iris: no column 'kind'; expected some of"),
        (["report", "old-faithful"], "old-faithful: no such file; give a CSV file, or one of"),
    ],
)
def test_packaged_data_sets(arguments, message, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"bayesmix: {message}")


def test_long_messages_stay_on_one_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["report", write(rows("a,b,kind", extra=",x"))]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: command"),
        (["report"], "the following arguments are required: data"),
        (["report", "faithful", "--draws", "many"], "argument --draws: invalid int value: 'many'"),
        (["report", "faithful", "--covariance-type", "band"], "--covariance-type: invalid choice"),
    ],
)
def test_bad_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


class TestInterrupt:
    def test_before_anything(self, monkeypatch, capsys):
        monkeypatch.setattr(fits, "fit_em", interrupt)
        assert main(["report", write(rows())]) == 130
        said = capsys.readouterr().err
        assert said == "bayesmix: interrupted before there was anything to report\n"
        assert not Path("report").exists()

    def test_before_any_draw(self, monkeypatch, capsys):
        monkeypatch.setattr(fits, "sample", interrupt)
        assert main(["report", write(rows())]) == 130
        assert "EM only: sampling was interrupted before any draw" in capsys.readouterr().out
        assert "EM only." in Path("report/index.html").read_text()

    def test_after_sampling(self, monkeypatch, capsys):
        monkeypatch.setattr(fits, "choose_k", interrupt)
        assert main(["report", write(rows())]) == 130
        out = capsys.readouterr().out
        assert "Interrupted: the page does not say how many groups" in out
        assert "rows with more than 95%" in out

    def test_with_draws(self, monkeypatch, capsys):
        monkeypatch.setattr(fits, "sample", cut_short)
        assert main(["report", write(rows())]) == 130
        out = capsys.readouterr().out
        assert "Interrupted: 2 chain" in out
        assert "30 draws" in out


def test_an_error_of_ours_is_not_hidden(monkeypatch):
    """Bad input is said in a line; a fault in the program keeps its traceback."""

    def broken(*_, **__):
        raise AttributeError("fault")

    monkeypatch.setattr(fits, "fit_em", broken)
    with pytest.raises(AttributeError, match="fault"):
        main(["report", write(rows())])


@pytest.mark.parametrize(
    "command",
    [[sys.executable, "-m", "bayesmix"], [str(Path(sys.executable).with_name("bayesmix"))]],
    ids=["python -m bayesmix", "bayesmix"],
)
def test_as_a_program(command):
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False,
                              env=environment)  # fmt: skip

    helped = run("report", "--help")
    assert helped.returncode == 0
    for option in ("--out", "--columns", "--label-column", "--components", "--draws", "--seed"):
        assert option in helped.stdout
    refused = run("report", "missing.csv")
    assert refused.returncode == 2
    assert refused.stderr.startswith("bayesmix: missing.csv: no such file;")
    assert refused.stderr.count("\n") == 1
    assert refused.stdout == ""
