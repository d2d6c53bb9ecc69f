"""Public names of a package are imported when they are first used."""

import subprocess
import sys

import pytest

import contract


def test_every_public_name_is_importable() -> None:
    missing = [name for name in contract.__all__ if not hasattr(contract, name)]

    assert missing == []


def test_a_submodule_is_imported_from_its_package_as_ever() -> None:
    program = "import contract; from contract import grids; print(grids.__name__)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "contract.grids\n"


def test_a_package_is_imported_without_its_modules() -> None:
    program = "import sys, contract; print({'numpy', 'nibabel', 'contract.tool'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'contract' has no attribute 'nothing'"):
        contract.nothing  # noqa: B018


def test_a_package_lists_its_public_names_for_help_and_completion() -> None:
    assert dir(contract) == sorted(contract.__all__)
