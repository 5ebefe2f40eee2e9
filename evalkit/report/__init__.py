"""Results for people: tables, pages and figures. The package can be called: `evalkit.report(...)` writes a report."""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """The package, which `evalkit.report` names, and the function of that name."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """See `evalkit.report.from_python.report`."""
        from evalkit.report.from_python import report

        return report(*arguments, **settings)


sys.modules[__name__].__class__ = _Callable
