"""Packages whose older versions give other numbers. Each is checked where it is used, before it computes anything.

pip holds the same limits (pyproject.toml), but not for a package that was installed later or with `--no-deps`.
"""

from functools import cache
from importlib import metadata
from typing import NamedTuple

from evalkit.errors import WrongVersion


class Limit(NamedTuple):
    """The first version whose numbers evalkit reports, and what older ones do."""

    first: str
    older: str


LIMITS = {
    "pytrec_eval-terrier": Limit("0.5.8", "give wrong values at random if some query has no judged document"),
    "transformers": Limit("5.18.0", "give other scores for Gemma and have no GTE"),
    "PyStemmer": Limit("3.1.0", "reduce some English words to other stems"),
    "rjieba": Limit("0.2.2", "split words such as t-stops in Chinese texts"),
}


@cache
def version(package: str) -> str:
    """Version of an installed package, read once a process: reading takes milliseconds, and 70 are asked for.

    Raises:
        PackageNotFoundError: of `importlib.metadata`.
    """
    return metadata.version(package)


def require_version(package: str) -> None:
    """Refuse an installed version that gives other numbers than evalkit reports.

    Args:
        package: an installed package, a key of `LIMITS`.

    Raises:
        WrongVersion: it is older.
    """
    from packaging.version import Version

    found, limit = version(package), LIMITS[package]
    if Version(found) < Version(limit.first):
        raise WrongVersion(
            f"{package} {found} is installed, and versions before {limit.first} {limit.older}. "
            f"Run: pip install '{package}>={limit.first}'"
        )
