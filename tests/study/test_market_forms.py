"""Markets written by hand: what a form says is read as it stands, and whatever is wrong with it has a place."""

import re

import jax
import numpy as np
import pytest

import pluraljax as plx

CSV = """who,user,action,state,payoff
prior,*,,hot,0.25
prior,*,,cold,0.75
mass,Ann,,,2
mass,Bo,,,1
user,Ann,tea,hot,1
user,Ann,tea,cold,3
user,Ann,coffee,*,2
user,Bo,tea,,1.5
user,Bo,coffee,hot,0
user,Bo,coffee,cold,-2e0
Zoe,*,tea,*,0
Zoe,,coffee,,1
Max,Ann,tea,*,5
Max,Ann,coffee,*,6
Max,Bo,tea,hot,7
Max,Bo,tea,cold,8
Max,Bo,coffee,*,9
"""
# The same with a column for each state.
WIDE = """who,user,action,hot,cold
prior,,,0.25,0.75
mass,Ann,,2,
mass,Bo,,,1
user,Ann,tea,1,3
user,Ann,coffee,2,2
user,Bo,tea,1.5,1.5
user,Bo,coffee,0,-2e0
Zoe,*,tea,0,0
Zoe,,coffee,1,1
Max,Ann,tea,5,5
Max,Ann,coffee,6,6
Max,Bo,tea,7,8
Max,Bo,coffee,9,9
"""
TOML = """
actions = ["tea", "coffee"]
states = ["hot", "cold"]
prior = [0.25, 0.75]

[users.Ann]
mass = 2
payoff = {tea = [1, 3], coffee = 2}

[users.Bo]
mass = 1.0
payoff = [1.5, {hot = 0, cold = -2.0}]

[providers.Zoe]
payoff = [0, 1]

[providers.Max.from]
Ann = {coffee = 6, tea = 5}
Bo = [[7, 8], 9]
"""


def wanted():
    user = np.array([[[1.0, 3.0], [2.0, 2.0]], [[1.5, 1.5], [0.0, -2.0]]])
    zoe = np.array([[[0.0, 0.0], [1.0, 1.0]]] * 2)
    max_ = np.array([[[5.0, 5.0], [6.0, 6.0]], [[7.0, 8.0], [9.0, 9.0]]])
    return plx.observed_market(user, np.stack([zoe, max_]), np.array([0.25, 0.75]), np.array([2.0, 1.0]))


def write(folder, text, name="market.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [("market.csv", CSV), ("market.toml", TOML), ("MARKET.CSV", CSV), ("bom.csv", "\ufeff" + CSV), ("wide.csv", WIDE)],
)
def test_a_form_is_read_as_it_stands(tmp_path, name, text):
    market, names = plx.files.load_named_market(write(tmp_path, text, name))
    assert names == plx.files.MarketNames(("Ann", "Bo"), ("Zoe", "Max"), ("tea", "coffee"), ("hot", "cold"))
    for read, right in zip(jax.tree.leaves(market), jax.tree.leaves(wanted()), strict=True):
        np.testing.assert_array_equal(read, right)
    for read, right in zip(jax.tree.leaves(plx.load_market(tmp_path / name)), jax.tree.leaves(market), strict=True):
        np.testing.assert_array_equal(read, right)


def test_columns_and_rows_may_come_in_any_order(tmp_path):
    header, *rows = CSV.splitlines()
    turn = lambda line: ";".join(line.split(",")[::-1]).replace(";", " , ")
    text = "\n".join([turn(header).upper(), "", *map(turn, rows), ",,,,", ""])
    market, names = plx.files.load_named_market(write(tmp_path, text))
    assert names.providers == ("Zoe", "Max")
    np.testing.assert_array_equal(market.user_value, wanted().user_value)


@pytest.mark.parametrize("text", [CSV, WIDE], ids=["long", "wide"])
def test_what_spreadsheets_add_is_nothing(tmp_path, text):
    """Empty columns to the right, rows of nothing anywhere, Excel's line about separators, capitals, blanks."""
    lines = ["sep=,", ",,,,,,,", *(line + ",," for line in text.splitlines()), ",,,,,,,", "", ",,,,,,,"]
    lines[2] = lines[2].upper() if text is CSV else lines[2].replace("who", " Who ")
    lines = [line.replace("user,Ann", "User,Ann").replace("prior", "PRIOR") for line in lines]
    market, names = plx.files.load_named_market(write(tmp_path, "\r\n".join(lines).encode("utf-8-sig")))
    assert names == plx.files.MarketNames(("Ann", "Bo"), ("Zoe", "Max"), ("tea", "coffee"), ("hot", "cold"))
    for read, right in zip(jax.tree.leaves(market), jax.tree.leaves(wanted()), strict=True):
        np.testing.assert_array_equal(read, right)


def test_states_may_be_called_almost_like_columns(tmp_path):
    """Where that column is there, or would hold no number, it is no slip: a car is new or used, fish fresh or stale."""
    for states in ("new,used", "fresh,stale", "hot,whoa"):
        path = write(tmp_path, WIDE.replace("hot,cold", states), f"{states}.csv")
        assert plx.files.load_named_market(path)[1].states == tuple(states.split(","))


def test_names_that_are_alike_are_not_asked_about_where_both_have_payoffs(tmp_path):
    text = changed("Max,Bo,tea,cold,8\n", "").replace("Bo", "Anne")
    with pytest.raises(ValueError, match=r"provider 'Max' from user 'Anne' for action 'tea' in state 'cold'\.$"):
        plx.load_market(write(tmp_path, text))


def test_what_is_left_out_has_a_meaning(tmp_path):
    """No states: there is nothing to be known. No prior and no mass: equal ones. No user: whoever comes."""
    path = write(tmp_path, "payoff,action,who\n1,tea,user\n2,coffee,user\n3,tea,Zoe\n4,coffee,Zoe\n")
    market, names = plx.files.load_named_market(path)
    assert names == plx.files.MarketNames(("everybody",), ("Zoe",), ("tea", "coffee"), ("always",))
    np.testing.assert_array_equal(market.prior, [[[[1.0]]]])
    np.testing.assert_array_equal(market.mass, [1.0])
    text = re.sub(r"(?m)^(prior|mass).*\n", "", CSV)
    market = plx.load_market(write(tmp_path, text, "equal.csv"))
    np.testing.assert_array_equal(market.prior[:, 0], [np.eye(2) / 2] * 2)
    np.testing.assert_array_equal(market.mass, [0.5, 0.5])


def test_an_archive_has_numbered_names(tmp_path):
    plx.save_market(tmp_path / "market.npz", wanted())
    market, names = plx.files.load_named_market(tmp_path / "market.npz")
    assert names.users == ("user 0", "user 1")
    assert names.states == ("state 0", "state 1")
    np.testing.assert_array_equal(market.user_value, wanted().user_value)


@pytest.mark.parametrize("name", ["no.csv", "no.npz", "no.toml"])
def test_there_may_be_no_such_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=rf"{name}: there is no such file\.$"):
        plx.load_market(tmp_path / name)


def test_a_workbook_is_to_be_saved_as_csv(tmp_path):
    with pytest.raises(ValueError, match=r"shop\.xlsx: is a workbook .* save it as CSV"):
        plx.load_market(tmp_path / "shop.xlsx")


def changed(old, new, text=CSV):
    assert old in text
    return text.replace(old, new)


BAD_CSV = {
    "empty": (b"", "needs the columns who, action, payoff; 'who', 'action', 'payoff' is missing"),
    "semicolons": (CSV.replace(",", ";"), "line 1: columns are separated by ';'; separate them by ',', and write"),
    "tabs": (CSV.replace(",", "\t"), "line 1: columns are separated by tabs; separate them by ','"),
    "a decimal comma": (
        changed("cold,3\n", "cold,3,5\n"),
        "line 7: 6 entries under 5 columns. One is too many; or is 3,5 one number? Write 3.5: decimals have",
    ),
    "a decimal comma in quotes": (changed("cold,3\n", 'cold,"3,5"\n'), "got '3,5'. Write 3.5: decimals have a point."),
    "no header": (
        CSV.split("\n", 1)[1],
        "line 1: the first line must name the columns: who,user,action,state,payoff; here it holds a number already",
    ),
    "a wide table": (
        "who,action,state,Ann,Users\nuser,tea,hot,1,2\n",
        "there is no column 'payoff'. A row holds one payoff: give each number under 'Ann', 'Users' a row of its own",
    ),
    "a percentage": (
        changed("hot,0.25", "hot,25%"),
        "line 2: a probability must be a finite number, got '25%'. Write 0.25.",
    ),
    "no mass": (changed("mass,Ann,,,2", "mass,Ann,,,two"), "line 4: a mass must be a finite number, got 'two'"),
    "a wide mass twice": (WIDE.replace("mass,Ann,,2,", "mass,Ann,,2,3"), "line 3: a mass is one number, in any of the"),
    "a wide hole": (WIDE.replace("tea,1,3", "tea,1,"), "payoff must be a finite number, got ''"),
    "a column that is no column": (
        "who,user,action,payoff,users\n",
        "line 1: there is no column 'users'. Leave it out.",
    ),
    "no rows": ("who,action,payoff\n", "has no rows under its header"),
    "a column is missing": (changed("state,payoff", "state,payof"), "no column 'payof'. Did you mean 'payoff'?"),
    "a column twice": (changed("user,action", "action,action"), "line 1: its columns 'action' appear twice"),
    "too few entries": (changed("user,Ann,tea,hot,1", "user,Ann,tea,1"), "line 6: 4 entries under 5 columns"),
    "no number": (changed("hot,1\n", "hot,one\n"), "line 6: payoff must be a finite number, got 'one'"),
    "not finite": (changed("hot,1\n", "hot,nan\n"), "line 6: payoff must be a finite number, got 'nan'"),
    "no payoff": (changed("hot,1\n", "hot,\n"), "line 6: payoff must be a finite number, got ''"),
    "other digits": (changed("hot,1\n", "hot,١\n"), "line 6: payoff must be a finite number"),
    "nobody": (changed("Max,Ann,tea", ",Ann,tea"), "line 14: nobody in column 'who'"),
    "no action": (changed("user,Bo,tea,,", "user,Bo,*,,"), "line 9: no action; every payoff is that of one action"),
    "a second payoff": (
        changed("user,Ann,coffee,*,2", "user,Ann,tea,*,2"),
        "line 8: a second payoff of user 'Ann' for action 'tea' in all states",
    ),
    "a second payoff of a provider": (
        CSV + "Zoe,Bo,tea,cold,1\n",
        "line 19: a second payoff of provider 'Zoe' from user 'Bo' for action 'tea' in state 'cold'",
    ),
    "a payoff is missing": (
        changed("user,Bo,coffee,cold,-2e0\n", ""),
        "there is no payoff of user 'Bo' for action 'coffee' in state 'cold'.",
    ),
    "a misspelt provider": (
        changed("Zoe,,coffee", "Zoee,,coffee"),
        "line 13: there is no payoff of provider 'Zoee' from user 'Ann' for action 'tea' in state 'hot' (and 7 more). "
        "Here provider 'Zoee' is read first. Is it the same as 'Zoe' (line 12)?",
    ),
    "a misspelt user": (
        changed("Max,Ann,tea", "Max,An,tea"),
        "line 14: there is no user 'An'. Did you mean 'Ann'? Known: 'Ann', 'Bo'.",
    ),
    "a misspelt action": (changed("Max,Ann,coffee", "Max,Ann,cofee"), "no action 'cofee'. Did you mean 'coffee'?"),
    "a misspelt state": (changed("Bo,coffee,cold", "Bo,coffee,colt"), "no state 'colt'. Did you mean 'cold'?"),
    "no users": (
        re.sub(r"(?m)^user,", "users,", CSV),
        "line 6: 'who' is 'users', and there is no row whose 'who' is 'user', for what users get. Did you mean 'user'?",
    ),
    "no providers": (re.sub(r"(?m)^(Zoe|Max).*\n", "", CSV), "has no row of a provider"),
    "a prior of less than 1": (
        changed("hot,0.25", "hot,0.2"),
        "line 2: the prior of user 'Ann', which begins here, sums to 0.95 instead",
    ),
    "a negative prior": (changed("hot,0.25", "hot,-0.25"), "line 2: a probability must be >= 0, got -0.25"),
    "a second prior": (CSV + "prior,Ann,,hot,0.25\n", "a second probability of state 'hot' for user 'Ann'"),
    "a prior of one user": (
        changed("prior,*,,hot", "prior,Bo,,hot"),
        "line 3: there is no probability of state 'hot' for user 'Ann'; no prior at all means equal ones",
    ),
    "a prior of no state": (changed("prior,*,,hot", "prior,*,,"), "line 2: no state; every probability is that of one"),
    "a prior of an action": (changed("prior,*,,hot", "prior,*,tea,hot"), "a row of 'prior' has no action, got 'tea'"),
    "a mass of nothing": (changed("mass,Ann,,,2", "mass,Ann,,,0"), "line 4: a mass must be positive, got 0"),
    "one mass": (
        changed("mass,Ann,,,2\n", ""),
        "line 4: there is no mass for user 'Ann'; no mass at all means equal ones",
    ),
    "a mass in a state": (changed("mass,Ann,,,2", "mass,Ann,,hot,2"), "line 4: a mass has no state, got 'hot'"),
    "not UTF-8": (CSV.encode() + b"\xff\xfe", 'line 19: not in UTF-8 (invalid start byte); save it as "CSV UTF-8" in'),
    "Latin-1": (
        CSV.replace("Zoe", "Zo\xeb").encode("latin-1"),
        "line 12: not in UTF-8 (invalid continuation byte); save",
    ),
    "UTF-16 with its mark": (CSV.encode("utf-16"), 'line 1: in UTF-16; save it as "CSV UTF-8" in the spreadsheet'),
    "UTF-16 without": (CSV.encode("utf-16-le"), ": in UTF-16; save it as"),
    "no text": (CSV.encode() + b"\0", ": not text; save it as"),
    "semicolons and decimal commas": (
        CSV.replace(",", ";").replace("0.25", "0,25"),
        "line 1: columns are separated by ';'; separate them by ',', and write decimals with a point (2.5), as spread",
    ),
    "a column without a name": (
        "who,,action,payoff\nuser,Ann,tea,1\n",
        "line 1: column 2 has no name; give it one, or",
    ),
    "users for user in a wide table": (
        WIDE.replace("who,user", "who,users"),
        "line 1: there is no column 'users', and it is no state: line 3 has 'Ann' in it, and states have numbers. Did "
        "you mean 'user'? Known: who, user, action, state, payoff.",
    ),
    "a transposition": (
        WIDE.replace("who,user", "who,uesr"),
        "there is no column 'uesr', and it is no state: line 3",
    ),
    "whom": (WIDE.replace("who,", "whom,"), "line 2 has 'prior' in it, and states have numbers. Did you mean 'who'?"),
    "another word for who": (
        WIDE.replace("who,", "party,"),
        "there is no column 'party', and it is no state: line",
    ),
    "actions": (
        WIDE.replace(",action", ",actions"),
        "line 5 has 'tea' in it, and states have numbers. Did you mean 'a",
    ),
    "payoffs among states": (
        WIDE.replace("hot,cold", "hot,payoffs"),
        "line 1: there is no column 'payoffs'. Did you mean 'payoff'?",
    ),
    "payoffs beside states": (changed("state,payoff", "state,payoffs"), "no column 'payoffs'. Did you mean 'payoff'?"),
    "another word for payoff": (changed("state,payoff", "state,value"), "no column 'value'. Did you mean 'payoff'?"),
    "states": (changed("state,payoff", "states,payoff"), "no column 'states'. Did you mean 'state'?"),
    "a note": (
        "\n".join(line + (f",{'why' if n == 5 else ''}" if n else ",note") for n, line in enumerate(WIDE.splitlines())),
        "line 1: there is no column 'note', and it is no state: line 6 has 'why' in it, and states have numbers. Leave",
    ),
    "a provider misspelt once": (
        WIDE.replace("Max,Bo,tea", "Mxa,Bo,tea"),
        "line 13: there is no payoff of provider 'Mxa' from user 'Ann' for action 'tea' in state 'hot' (and 7 more). "
        "Here provider 'Mxa' is read first. Did you mean 'Max' (line 11)?",
    ),
    "a user misspelt in a row of her own": (
        WIDE.replace("user,Ann,coffee", "user,Anne,coffee"),
        "line 6: there is no payoff of provider 'Max' from user 'Anne' for action 'tea'",
    ),
    "an action misspelt in a user's own row": (
        WIDE.replace("user,Bo,coffee", "user,Bo,cofee"),
        "Here action 'cofee' is read first. Did you mean 'coffee' (line 6)?",
    ),
    "priors": (
        changed("prior,*,,hot", "priors,*,,hot"),
        "line 2: no action; every payoff is that of one action. Did you",
    ),
    "a prior of one user that is short": (
        WIDE.replace("prior,,,0.25,0.75", "prior,Ann,,0.25,0.75\nprior,Bo,,0.25,0.7"),
        "line 3: the prior of user 'Bo', which begins here, sums to 0.95 instead of 1. Divide it by its sum.",
    ),
    "an open quote": (CSV + '"Zoe,Bo', "not CSV"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_what_is_wrong_with_a_spreadsheet_has_a_place(tmp_path, case):
    text, message = BAD_CSV[case]
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        plx.load_market(write(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "market.csv"))
    assert "\n" not in str(caught.value)


def toml(old, new):
    return changed(old, new, TOML)


BAD_TOML = {
    "not TOML": ("actions = [", "is not valid TOML"),
    "no actions": (toml('actions = ["tea", "coffee"]', ""), "there is no 'actions'"),
    "a misspelt key": (toml("prior = [", "priors = ["), "there is no key 'priors' here. Did you mean 'prior'?"),
    "a misspelt key of a user": (toml("mass = 2", "mas = 2"), "users.Ann: there is no key 'mas' here. Did you mean"),
    "a number for names": (toml('["tea", "coffee"]', "3"), "actions: needs a list of names, got 3"),
    "an action twice": (toml('["tea", "coffee"]', '["tea", "tea"]'), "actions: 'tea' appears a second time"),
    "a list that is short": (
        toml("payoff = [0, 1]", "payoff = [0]"),
        "providers.Zoe.payoff: needs an entry for each action, 2 in all, got 1",
    ),
    "a state too many": (toml("[7, 8]", "[7, 8, 9]"), "providers.Max.from.Bo.tea: needs an entry for each state, 2 in"),
    "a misspelt action": (
        toml("coffee = 6", "cofee = 6"),
        "from.Ann: there is no action 'cofee'. Did you mean 'coffee'?",
    ),
    "a misspelt state": (
        toml("cold = -2.0", "colt = -2.0"),
        "users.Bo.payoff.coffee: there is no state 'colt'. Did you",
    ),
    "a misspelt user": (
        toml("Bo = [[7", "Bob = [[7"),
        "providers.Max.from: there is no user 'Bob'. Did you mean 'Bo'?",
    ),
    "a text": (toml("coffee = 6", 'coffee = "six"'), "from.Ann.coffee: a payoff must be a finite number, got 'six'"),
    "a truth value": (toml("coffee = 6", "coffee = true"), "a payoff must be a finite number, got True"),
    "infinity": (toml("coffee = 6", "coffee = inf"), "a payoff must be a finite number, got inf"),
    "a missing action": (toml("coffee = 6, ", ""), "no payoff of provider 'Max' from user 'Ann' for action 'coffee'"),
    "a missing user": (toml("Bo = [[7, 8], 9]", ""), "no payoff of provider 'Max' from user 'Bo'"),
    "payoffs twice": (
        toml("[providers.Max.from]", "[providers.Max]\npayoff = [0, 1]\n[providers.Max.from]"),
        "providers.Max: needs either 'payoff', the same from all users, or tables by user in 'from'",
    ),
    "no payoff": (toml("payoff = {tea = [1, 3], coffee = 2}", ""), "users.Ann: there is no 'payoff'"),
    "a prior twice": (
        toml("mass = 1.0", "prior = [0.5, 0.5]"),
        "users.Bo.prior.hot: a second probability of state 'hot'",
    ),
    "a prior of 2": (
        toml("[0.25, 0.75]", "[1, 1]"),
        "prior.hot: the prior of user 'Ann', which begins here, sums to 2",
    ),
    "users that are none": (toml("[users.Ann]", "[users.Ann.x]"), "users.Ann: there is no key 'x' here"),
    "nobody": ("actions = ['a']\nproviders = {}\nusers = {}", "users: needs a table of names, got {}"),
}


@pytest.mark.parametrize("case", BAD_TOML)
def test_what_is_wrong_with_a_toml_form_has_a_place(tmp_path, case):
    text, message = BAD_TOML[case]
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        plx.load_market(write(tmp_path, text, "market.toml"))
    assert str(caught.value).startswith(str(tmp_path / "market.toml"))


def test_forms_that_are_too_large_take_no_memory(tmp_path):
    """The axes multiply: a few kilobytes of names are a market of many gigabytes."""
    rows = [f"user,u{n},a{n},s{n},1" for n in range(2000)]
    text = "\n".join(["who,user,action,state,payoff", *rows, "Zoe,*,a0,*,1"])
    with pytest.raises(ValueError, match=r"16,000,000,000 payoffs.* at most 4,194,304 are allowed"):
        plx.load_market(write(tmp_path, text))
    with pytest.raises(ValueError, match="is larger than 32 MiB"):
        plx.load_market(write(tmp_path, b"who,action,payoff\n" + b"x" * 2**25))


def test_names_from_files_do_nothing_in_errors(tmp_path):
    for name, text in (
        ("market.csv", changed("Max,Ann,tea", '"\x1b[2J\nMax",Ann,tea')),
        ("market.toml", TOML + '[providers."\\u001b[2J\\nX"]\npayoff = 3\n'),
    ):
        with pytest.raises(ValueError, match="market") as caught:
            plx.load_market(write(tmp_path, text, name))
        assert "\x1b" not in str(caught.value)
        assert "\n" not in str(caught.value)
