"""Markets written by hand, with names: from a spreadsheet (CSV) or a TOML file to arrays. Imports no JAX."""

from ._csv import read_csv_form as read_csv_form
from ._form import Form as Form
from ._names import MarketNames as MarketNames
from ._toml import read_toml_form as read_toml_form
