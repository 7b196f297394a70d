"""Makes spyne importable on Python 3.12 and later.

spyne 2.14 carries an old copy of `six` whose import hook uses an API gone from Python 3.12. The real `six` takes its
place in `sys.modules`, as a module of its own so that the installed one stays as it is. Import this before spyne; on
3.13 spyne also needs the distribution `legacy-cgi`.
"""

import importlib
import operator
import sys
import types
import warnings

import six

# All that spyne imports from below its copy of six.
_MOVES = ("collections_abc", "http_cookies", "urllib", "urllib.error", "urllib.parse", "urllib.request")

replacement = types.ModuleType("spyne.util.six")
replacement.__dict__.update({name: value for name, value in vars(six).items() if not name.startswith("__")})
replacement.get_function_name = operator.attrgetter("__name__")  # type: ignore[attr-defined]  # an addition of spyne's copy
sys.modules["spyne.util.six"] = replacement
sys.modules["spyne.util.six.moves"] = six.moves
for _name in _MOVES:
    sys.modules[f"spyne.util.six.moves.{_name}"] = importlib.import_module(f"six.moves.{_name}")
with warnings.catch_warnings():
    # spyne imports cgi, which Python 3.11 and 3.12 deprecate; nobody here can mend that.
    warnings.simplefilter("ignore", DeprecationWarning)
    importlib.import_module("cgi")
