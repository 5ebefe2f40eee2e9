"""Faults to be planted fit the source; whether they are caught is for `make test-all`."""

import pytest
from pretend.mutants import MUTANTS


@pytest.mark.parametrize("name", MUTANTS)
def test_fault_can_be_planted_once_and_is_python(name):
    MUTANTS[name].planted()
