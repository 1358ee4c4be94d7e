"""The page about a model: it is whole, needs nothing else, and says what the model says."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_digits, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError

import keras_ssvae as ks

FAST = {"epochs": 2, "hidden_layer_sizes": (8,), "jit_compile": False, "random_state": 0}
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Headings, sources and whether all that was opened was closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.headings, self.sources = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True, as_frame=True)
    X = X.assign(
        place=np.where(X.index % 2, "north & <south>", "east"), day=pd.Timestamp("2026-01-01") + pd.to_timedelta(X.index, "D")
    )
    few = ks.mask_labels(y, labeled=30, random_state=0)
    return ks.SemiSupervisedVAE(**FAST).fit(X, few), X, few


def test_the_page_has_every_section_and_needs_nothing_else(iris, tmp_path):
    model, X, y = iris
    path = ks.report(model, X, y, tmp_path / "page.html", title="Flowers & <co>")
    text = (tmp_path / "page.html").read_text()
    assert path == str(tmp_path / "page.html")
    page = Page(text)
    assert not page.open
    assert page.headings == [
        "Flowers & <co>", "Columns", "Labels", "Training", "What the labels say of each expert", "Predictions and labels",
        "Latent space", "Reconstructions", "Made-up rows", "Strangest rows", "Labels that all others speak against",
        "Rows to label next",
    ]  # fmt: skip
    assert page.sources and all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert "<south>" not in text and "north &amp; &lt;south&gt;" in text


def test_lists_hold_the_rows_that_the_model_names(iris, tmp_path):
    model, X, y = iris
    ks.report(model, X, y, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()

    def rows(heading):
        part = text.split(f"<h2>{heading}</h2>")[1].split("<h2>")[0]
        return [int(row) for row in re.findall(r"<th>(\d+)</th>", part)]

    assert rows("Strangest rows") == list(np.argsort(-model.anomaly_score(X))[:10])
    assert rows("Rows to label next") == list(ks.suggest_labels(model, X, 10, y=y).index)
    assert rows("Labels that all others speak against") == list(ks.label_quality(model, X, y).nsmallest(10).index)
    known = y >= 0
    assert f"{np.mean(model.predict(X[known]) == y[known]):.1%} of 30 labels agree" in text


def test_strange_rows_are_listed_with_the_columns_that_make_them_so(iris, tmp_path):
    model, X, y = iris
    planted = X.copy()
    planted.iloc[7, 2] = 60.0  # a flower of half a metre
    ks.report(model, planted, y, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    first = re.search(r"<th>7</th>\s*<td>([\d.,]+)</td>\s*<td>(.*?)</td>", text.split("<h2>Strangest rows</h2>")[1])
    score, why = first.groups()
    column, fall = re.match(r"(.+?) \(([\d.,]+)\)(?:, |$)", why).groups()
    assert column == "petal length (cm)"
    usual = planted.assign(**{column: model.reconstruct(planted)[column]})
    expected = model.anomaly_score(planted)[7] - model.anomaly_score(usual)[7]
    assert float(fall.replace(",", "")) == pytest.approx(expected, rel=1e-2)
    assert float(score.replace(",", "")) == pytest.approx(model.anomaly_score(planted)[7], rel=1e-2)


@pytest.mark.parametrize("family", [ks.VAE, ks.SemiSupervisedGAN])
def test_a_model_without_an_answer_has_no_section_for_it(family, tmp_path):
    X, y = load_digits(return_X_y=True)
    X = X[:60].reshape(-1, 8, 8)
    model = family(**FAST).fit(X, y[:60])
    ks.report(model, X, path=tmp_path / "page.html")
    headings = Page((tmp_path / "page.html").read_text()).headings
    assert ("Latent space" in headings) == hasattr(model, "transform")
    assert "Predictions and labels" not in headings
    assert {"Columns", "Training", "Made-up rows", "Strangest rows"} <= set(headings)


def test_targets_are_summed_up_and_not_listed(iris, tmp_path):
    X = iris[1]
    target = X["petal length (cm)"].mask(X.index % 3 == 0)
    model = ks.SemiSupervisedVAERegressor(**FAST).fit(X.drop(columns="petal length (cm)"), target)
    ks.report(model, X.drop(columns="petal length (cm)"), target, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    labels = page.split("<h2>Labels</h2>")[1].split("<h2>")[0]
    assert labels.count("<tr") == 9  # the head, and what `describe` gives
    assert f"{target.mean():.4g}" in labels


def test_what_cannot_be_read_leaves_no_file(iris, tmp_path):
    model, X, y = iris
    with pytest.raises(ValueError, match="each of the 150 rows of X; got 3"):
        ks.report(model, X, y[:3], tmp_path / "page.html")
    with pytest.raises(ValueError, match="y holds labels that are not among the classes: \\['rose'\\]"):
        ks.report(model, X, np.full(150, "rose"), tmp_path / "page.html")
    with pytest.raises(NotFittedError):
        ks.report(ks.VAE(), X, path=tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_a_page_of_one_row_is_written(tmp_path):
    X, y = load_iris(return_X_y=True)
    model = ks.SemiSupervisedVAE(latent_dim=3, **FAST).fit(X, y)
    text = Path(ks.report(model, X[:1], y[:1], tmp_path / "page.html")).read_text()
    assert "1 rows" in text and "Rows in the latent space" in text


def test_rows_of_any_container_are_those_of_a_frame(iris, tmp_path):
    polars = pytest.importorskip("polars")
    _, X, y = iris
    table = X.iloc[:, :3]
    pages = []
    for fitted_to, rows in [(table.to_numpy(), table.to_numpy().tolist()), (table.to_numpy(), csr_array(table.to_numpy()))]:
        pages.append(ks.report(ks.SemiSupervisedVAE(**FAST).fit(fitted_to, y), rows, y, tmp_path / f"{len(pages)}.html"))
    first, second = (Path(page).read_text().split("</p>", 1)[1] for page in pages)
    assert first == second
    made = ks.SemiSupervisedVAE(**FAST).fit(polars.from_pandas(X), y)
    text = Path(ks.report(made, polars.from_pandas(X), y, tmp_path / "polars.html")).read_text()
    assert "sepal length (cm)" in text and "north &amp; &lt;south&gt;" in text


def test_what_is_no_generative_model_is_refused(iris, tmp_path):
    _, X, y = iris
    for other in (ks.AnomalyDetector(ks.VAE(**FAST)).fit(X), DummyClassifier().fit(X, y)):
        with pytest.raises(TypeError, match="estimator must be a generative model"):
            ks.report(other, X, path=tmp_path / "page.html")
    with pytest.raises(TypeError, match="X must be rows in memory"):
        ks.report(iris[0], "folder", path=tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_browser_shows_the_page(iris, tmp_path):
    model, X, y = iris
    path = ks.report(model, X, y, tmp_path / "page.html")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    pdf = tmp_path / "page.pdf"
    subprocess.run([*command, f"--print-to-pdf={pdf}", f"file://{path}"], check=True, capture_output=True, timeout=120)
    assert pdf.read_bytes().startswith(b"%PDF") and pdf.stat().st_size > 50_000
