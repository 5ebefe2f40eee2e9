"""The exception tree. Every mistake that a user can make ends in one of these, and in one line on the terminal.

EvalkitError                something that the user can put right; the command line exits with code 2
├── ConfigError             a setting is unknown, of the wrong type, or contradicts another
├── DataError               a file or a collection is malformed; the message names file and line
│   └── Unreachable         a server does not answer at all
├── ModelError              a checkpoint cannot be used as asked
│   └── AbsentModel         the checkpoint does not exist or cannot be downloaded
├── ObjectError             an object of the user's own raised an error, or gave something else than it should
├── ResultError             an artefact on disk is incomplete or damaged
├── MissingExtra            an optional package is needed; the message holds the install command
└── WrongVersion            an installed package is too old to give the numbers that evalkit reports

A message says what was found, what is legal, and what to do next:

    try:
        run = read_run(Path("bm25.trec"))
    except EvalkitError as error:
        print(error)  # bm25.trec:7: 5 fields, expected 6 (query_id Q0 doc_id rank score tag)
"""


class EvalkitError(Exception):
    """Base of everything that evalkit raises on purpose."""

    def __str__(self) -> str:
        """The message on one line, whatever it quotes."""
        return " ".join(super().__str__().splitlines())


class ConfigError(EvalkitError):
    """A setting is unknown, of the wrong type, out of range, or contradicts another."""


class DataError(EvalkitError):
    """A file or a collection is malformed."""


class Unreachable(DataError):  # noqa: N818 - names the situation
    """A server cannot be reached at all."""


class ModelError(EvalkitError):
    """A checkpoint is absent, incomplete, or not what the configuration says it is."""


class AbsentModel(ModelError):  # noqa: N818 - names the situation
    """The checkpoint is neither on disk nor can it be downloaded."""


class ObjectError(EvalkitError):
    """An object of the user's own cannot be found or used, raised an error, or gave something else than it should."""


class ResultError(EvalkitError):
    """An artefact on disk is incomplete, damaged, or made from something else."""


class MissingExtra(EvalkitError):  # noqa: N818 - names the situation; "MissingExtraError" says nothing more
    """An optional package is absent."""

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}. Run: pip install 'evalkit[{extra}]'")


class WrongVersion(EvalkitError):  # noqa: N818 - names the situation
    """An installed package gives other numbers than the versions that evalkit is tested with."""
