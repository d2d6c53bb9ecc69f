from pathlib import Path

import pytest
from nnunet_tool.settings import read_plan_settings

from contract import UsageError
from contract.manifest import load_manifest

OPTIONS = load_manifest(Path(__file__).parents[3] / "containers" / "nnunet").complete_options({})


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("patch", "32,32", "--patch must be auto or three numbers x,y,z, but it is '32,32'"),
        ("patch", "32,32,big", "--patch must be auto or whole numbers from 1 with commas between them"),
        ("features", "8", "--features must be auto or two stages at least, but it is '8'"),
        ("features", "8,0", "--features must be auto or whole numbers from 1 with commas between them"),
    ],
)
def test_an_option_that_is_no_list_of_numbers_is_refused(option: str, value: str, message: str):
    with pytest.raises(UsageError, match=message):
        read_plan_settings(OPTIONS | {option: value})
