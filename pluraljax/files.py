"""Markets and profiles in files, with the names of what is in them."""

from ._market_file import NamedMarket as NamedMarket
from ._market_file import load_named_market as load_named_market
from ._market_form import MarketNames as MarketNames
from ._profile_file import load_profile as load_profile
from ._profile_file import save_profile as save_profile

__all__ = [
    "MarketNames",
    "NamedMarket",
    "load_named_market",
    "load_profile",
    "save_profile",
]
