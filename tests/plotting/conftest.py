import pytest
from displayed import Stub


@pytest.fixture
def stub():
    return Stub()
