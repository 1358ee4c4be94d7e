"""Files that earlier versions wrote: format 1 had no checksum, and its tables may lack what came later."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_files import read_members

from keras_ssvae import ModelFileError, load

FIXTURES = Path(__file__).parents[1] / "fixtures"
NAMES = ["M1", "SemiSupervisedVAE", "VAE"]
COLUMNS = ["size", "count", "kind", "day", "yes", "gap", "cat"]


def rows_and_answers(name):
    recorded = json.loads((FIXTURES / f"{name}.json").read_text())
    if name != "SemiSupervisedVAE":
        return np.array(recorded["rows"]), recorded["answers"]
    frame = pd.DataFrame(recorded["rows"], columns=COLUMNS)
    return frame.assign(day=pd.to_datetime(frame["day"]), cat=frame["cat"].astype("category")), recorded["answers"]


def assert_answers(path, name):
    rows, answers = rows_and_answers(name)
    model = load(path)
    assert type(model).__name__ == name
    for method, expected in answers.items():
        given = getattr(model, method)(rows)
        if method == "predict":
            assert given.tolist() == expected
        else:  # another processor may round otherwise
            np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5)
    assert np.shape(model.sample(3, random_state=0)[0]) == (
        3,
        np.shape(rows)[1],
    )  # though how columns were distributed is not there


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_format_1_is_loaded_and_answers_as_it_did(name):
    assert_answers(FIXTURES / f"{name}.ssvae", name)


def rewritten(name, folder, edit):
    """A file of format 1, which has no checksum, with another header."""
    members = read_members(FIXTURES / f"{name}.ssvae")
    members["estimator.json"] = edit(members["estimator.json"].decode()).encode()
    with zipfile.ZipFile(folder / "model", "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return folder / "model"


def test_a_table_without_quantiles_has_none(tmp_path):
    path = rewritten("VAE", tmp_path, lambda header: header.replace(', ["quantiles_", {"array": "12.npy"}]', ""))
    assert np.isnan(load(path).table_.quantiles_).all()
    assert_answers(path, "VAE")


def test_a_file_of_format_1_is_checked_too(tmp_path):
    path = rewritten("VAE", tmp_path, lambda header: header.replace('["latent_dim", 2]', '["latent_dim", 3]'))
    with pytest.raises(ModelFileError, match="weights of shape"):
        load(path)


def test_a_file_of_today_without_a_checksum_is_refused(tmp_path):
    path = rewritten("VAE", tmp_path, lambda header: header.replace('"format": 1', '"format": 2'))
    with pytest.raises(ModelFileError, match="it has no checksum"):
        load(path)
