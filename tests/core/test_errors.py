from __future__ import annotations

import inspect
import pickle

import pytest

from fgbg_zoo import errors
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.errors import UnknownModelError
from fgbg_zoo.errors import UnknownNameError

ALL = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, FgbgZooError)]


@pytest.mark.parametrize("kind", ALL)
def test_the_exit_code_is_a_failure_or_a_wrong_use(kind):
    assert kind.exit_code in (1, 2)
    assert kind.__doc__


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (errors.UsageError, ValueError),
        (errors.InputError, ValueError),
        (errors.UnknownNameError, LookupError),
        (errors.WeightsNotFoundError, FileNotFoundError),
        (errors.DeviceError, RuntimeError),
        (errors.MissingDependencyError, ImportError),
    ],
)
def test_what_pythons_own_handlers_catch(kind, base):
    assert issubclass(kind, base)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([], "Unknown model 'ilsgan-cubb'. List them with 'fgbg-zoo list'."),
        (["ilsgan-cub"], "Unknown model 'ilsgan-cubb'. Did you mean 'ilsgan-cub'? List them with 'fgbg-zoo list'."),
        (["ilgan-cub", "ilsgan-cub"], "Did you mean 'ilsgan-cub' or 'ilgan-cub'?"),
        (
            ["ilsgan-cub", "ilsgan-cars", "ilgan-cub", "ilsgan-cub2", "zebra"],
            "Did you mean 'ilsgan-cub', 'ilsgan-cub2' or 'ilgan-cub'?",
        ),
    ],
)
def test_close_matches(known, expected):
    error = UnknownModelError("model", "ilsgan-cubb", known, "'fgbg-zoo list'")
    assert expected in str(error)
    assert error.name == "ilsgan-cubb"


def test_a_note_takes_the_place_of_the_listing():
    error = UnknownNameError("model", "a", [], "'fgbg-zoo list'", "Plugin 'a' failed to load.")
    assert str(error) == "Unknown model 'a'. Plugin 'a' failed to load."


def test_a_message_is_no_quoted_repr():
    assert str(UnknownModelError("model", "a", [], "'x'")).startswith("Unknown model 'a'.")


@pytest.mark.parametrize("kind", ALL)
def test_errors_pass_between_processes(kind):
    """A worker's error is pickled on its way to the process that shows it."""
    error = kind("model", "a", ["aa"], "'x'") if issubclass(kind, UnknownNameError) else kind("What to do.")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert str(back) == str(error)
