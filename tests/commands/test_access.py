"""Who may use which command, in which room: the rules alone, without a bot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.commands.access import BUILT_IN, LISTS, Access, mistakes
from shellbot.context import Context
from shellbot.errors import ConfigError
from shellbot.events import Channel, Person

ONE, TWO = Person("a1", "Person A", "a@example.com"), Person("b1", "Person B", "b@other.example")
ROOM, OTHER = Channel("room-1", "Team"), Channel("room-2", "All")
DIRECT = Channel("direct-b1", "Person B", is_direct=True)
ROLES = {"access.roles.leads": ["b1"]}


def may(settings, person=TWO, keyword="poll", right="use", channel=ROOM, owner=None):
    return Access.of(settings).decide(person, channel, keyword, right, owner=owner).is_allowed


@pytest.mark.parametrize(
    ("settings", "is_allowed"),
    [
        ({}, True),
        ({"access.admins": ["a1"]}, True),
        ({"access.people": ["a1"]}, False),
        ({"access.people": []}, False),
        ({"access.people": ["b1"]}, True),
        ({"access.people": ["b@other.example"]}, True),
        ({"access.people": ["B@Other.Example"]}, True),
        ({"access.people": ["B1"]}, False),
        ({"access.people": ["Person B"]}, False),
        ({"access.people": ["@other.example"]}, True),
        ({"access.domains": ["example.com"]}, False),
        ({"access.domains": ["other.example"]}, True),
        ({"access.domains": ["@other.example"]}, True),
        ({"access.domains": ["*@OTHER.example"]}, True),
        ({"access.domains": ["example"]}, False),
        ({"access.domains": ["ther.example"]}, False),
        ({"access.domains": ["example.com"], "access.people": ["b1"]}, True),
        ({"access.rooms": ["room-1"]}, True),
        ({"access.rooms": ["room-2"]}, False),
        ({"access.rooms": []}, False),
        ({"access.commands.poll": ["b1"]}, True),
        ({"access.commands.Poll": "b1"}, True),
        ({"access.commands.poll": "a1, b1"}, True),
        ({"access.commands.poll": ["a1"]}, False),
        ({"access.commands.poll": []}, False),
        ({"access.commands.poll": "nobody"}, False),
        ({"access.commands.poll": "admins"}, False),
        ({"access.commands.poll": "everybody"}, True),
        ({"access.commands.poll": "@other.example"}, True),
        ({"access.commands.poll": "leads", **ROLES}, True),
        ({"access.commands.poll": "leads"}, False),
        ({"access.commands.poll": "leads", "access.roles.leads": "@example.com"}, False),
        ({"access.commands.echo": "a1"}, True),
        ({"access.commands.poll": "everybody", "access.people": ["a1"]}, False),
        ({"access.commands.poll": "a1", "access.admins": ["b1"]}, True),
        ({"access.rooms": ["room-2"], "access.people": ["a1"], "access.admins": ["b1"]}, True),
    ],
    ids=str,
)
def test_what_is_ordinary_is_everybodys_until_a_rule_says_otherwise(settings, is_allowed):
    assert may(settings) is is_allowed


@pytest.mark.parametrize(
    ("settings", "is_allowed"),
    [
        ({}, False),
        ({"access.people": ["b1"]}, False),
        ({"access.domains": ["other.example"]}, False),
        ({"access.rooms": ["room-1"]}, False),
        (ROLES, False),
        ({"access.admins": ["a1"]}, False),
        ({"access.admins": ["b1"]}, True),
        ({"access.admins": ["@other.example"]}, True),
        ({"access.commands.close": "leads", **ROLES}, True),
        ({"access.commands.close": "everybody"}, True),
        ({"access.commands.poll": "everybody"}, False),
    ],
    ids=str,
)
def test_administration_is_nobodys_until_somebody_is_named_for_it(settings, is_allowed):
    assert may(settings, keyword="close", right="administer") is is_allowed


def test_rooms_do_not_count_in_a_direct_channel():
    assert may({"access.rooms": ["room-2"]}, channel=DIRECT)
    assert not may({"access.rooms": ["room-2"], "access.people": ["a1"]}, channel=DIRECT)


def test_a_room_may_be_named_by_the_id_of_its_platform():
    assert may({"access.rooms": ["Y2lz=/x"]}, channel=Channel("Y2lz%3D%2Fx", "Team"))


def test_ones_own_stays_ones_own_whatever_is_said_of_the_command():
    rules = {"access.commands.poll": "nobody"}
    assert may(rules, right="own")
    assert may(rules, right="own", owner="b1")
    assert not may(rules, right="own", owner="a1")
    assert not may({}, right="own", owner="")  # of the bot itself
    assert may({"access.admins": ["b1"]}, right="own", owner="a1")
    assert not may({"access.people": ["a1"]}, right="own", owner="b1")


def test_a_name_that_people_give_themselves_never_counts():
    for word in ("Person A", "a1", "leads", "admins", "everybody", "a@example.com"):
        liar = Person("c1", word)
        rules = {"access.admins": ["a1", "a@example.com", "Person A"], "access.commands.poll": ["leads", "admins"]}
        assert not may({**rules, "access.roles.leads": ["a1", "Person A"]}, liar)


def test_who_has_the_id_of_a_role_or_of_one_of_our_words_has_not_that_role():
    for id_ in ("leads", "admins", "nobody", "everybody", "@example.com", "poll"):
        rules = {"access.commands.poll": ["leads", "admins", "nobody", "@example.com"], **ROLES}
        assert not may(rules, Person(id_, "Person C"))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "@",
        "example.com",
        "a@example.com.evil.test",
        "a@example.com@evil.test",
        "a@sub.example.com",
        "a@EXAMPLE.\u212aom",
    ],
)
def test_only_the_whole_domain_counts(address):
    assert not may({"access.domains": ["example.com"]}, Person("c1", "Person C", address))


def test_letters_that_look_alike_are_not_the_same():
    assert not may({"access.domains": ["\u212aelvin.test"]}, Person("c1", "Person C", "c@kelvin.test"))
    assert not may({"access.domains": ["kelvin.test"]}, Person("c1", "Person C", "c@\u212aelvin.test"))
    assert not may({"access.people": ["kim@example.com"]}, Person("c1", "Person C", "\u212aim@example.com"))


def test_who_may_not_is_told_in_one_line_that_helps():
    def told(settings, keyword="poll", right="use", channel=ROOM):
        return Access.of(settings).decide(TWO, channel, keyword, right).text

    assert told({}, "close", "administer") == (
        "`close` is for admins, and there are none yet; who runs this server can put your id into the setting "
        "`access.admins`. It is b1"
    )
    admins = {"access.admins": ["a1"]}
    assert told(admins, "close", "administer") == "`close` is for admins. Say `help` for what you can say here."
    leads = {"access.commands.poll": ["leads", "a1"], "access.roles.leads": ["a1"]}
    assert told(leads).startswith("`poll` is for leads, those who are named for it and admins.")
    assert told({"access.rooms": []}) == "I take no commands in this room; an admin may let me."
    assert told({"access.people": ["a1"]}) == "I may not take commands from you; an admin may let you in."
    for settings in ({}, admins, leads):
        assert "a1" not in told(settings)
        assert "\n" not in told(settings)


def test_the_rules_in_words():
    settings = {
        "access.admins": ["a1"],
        "access.domains": ["example.com"],
        "access.rooms": ["room-1", "room-2"],
        "access.roles.leads": ["b1", "c1"],
        "access.commands.poll": ["leads", "d1"],
        "access.commands.echo": "everybody",
        "access.commands.link": "nobody",
    }
    assert list(Access.of(settings).described()) == [
        "Admins, who may everything: a1.",
        "Who may use the bot: everybody of example.com, admins.",
        "In which rooms: room-1, room-2. In direct channels it is always heard.",
        "Role 'leads': b1, c1.",
        "'echo': everybody who may use the bot.",
        "'link': admins.",
        "'poll': leads, d1, admins.",
        "All other commands: everybody who may use the bot, but what administers: admins.",
    ]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("access.commands.colse", "a1", "there is no command 'colse'; did you mean 'close'?"),
        ("access.commands.poll", ["leeds"], "there is no role 'leeds'; did you mean 'leads'?"),
        ("access.commands.poll", ["everyone"], "there is no role 'everyone'; did you mean 'everybody'?"),
        ("access.commands.poll", ["*.example.com"], "a '*' stands for nothing but all names of one domain"),
        ("access.domains", ["*.example.com"], "a '*' stands for nothing but all names of one domain"),
        ("access.domains", [".example.com"], "is no domain"),
        ("access.domains", ["a@example.com"], "is no domain"),
        ("access.admins", ["@"], "is no domain"),
        ("access.admins", ["*"], "a '*' stands for nothing but"),
        ("access.admins", [""], "'' names nobody"),
        ("access.admins", ["leads"], "'leads' means people only below access.commands"),
        ("access.people", ["everybody"], "'everybody' means people only below access.commands"),
        ("access.roles.admins", ["a1"], "'admins' is no name for a role"),
        ("access.admin", ["a1"], "this is no rule; did you mean 'access.admins'?"),
        ("access.role.x", ["a1"], "this is no rule; did you mean 'access.roles.x'?"),
        ("access.visitors", ["a1"], "this is no rule; there are access.admins, access.people"),
        ("access.commands", ["a1"], "this is no rule; there are access.admins, access.people"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_is_meant(key, value, told):
    settings = {"access.roles.leads": ["a1"], key: value}
    ((found, text),) = mistakes(settings)
    assert found == key
    assert told in text
    with pytest.raises(ConfigError, match=key) as error:
        Access.of(settings)
    assert error.value.key == key


def test_a_rule_may_be_for_a_command_of_the_bots_own():
    rules = {"access.commands.stats": "a1", "access.commands.deploy": "a1"}
    assert [key for key, _ in mistakes(rules)] == ["access.commands.stats"]  # is it `start`?
    assert list(mistakes(rules, ["Stats", "Deploy"])) == []
    ((_, text),) = mistakes({"access.commands.depoly": "a1"}, ["deploy"])
    assert "did you mean 'deploy'?" in text


def test_rules_are_read_from_the_settings_of_the_program_and_its_environment(monkeypatch):
    monkeypatch.setenv("SHELLBOT_ACCESS_ADMINS", "a1, b1")
    monkeypatch.setenv("LEADS", "b1,c1")
    context = Context({"access": {"roles": {"leads": "$LEADS"}, "commands": {"poll": ["leads"], "*default": "nobody"}}})
    access = Access.read(context)
    assert access.is_admin(ONE)
    assert access.roles["leads"].words == ("b1", "c1")
    assert not access.decide(Person("d1", ""), ROOM, "*default").is_allowed


def test_a_variable_may_stand_for_a_rule_too(monkeypatch):
    monkeypatch.setenv("SHELLBOT_ACCESS_COMMANDS_POLL", "leads, c1")
    monkeypatch.setenv("SHELLBOT_ACCESS_ROLES_LEADS", "b1")
    for context in (Context(), Context({"access.commands.echo": "nobody"})):
        access = Access.read(context)
        assert access.decide(TWO, ROOM, "poll").is_allowed
        assert not access.decide(ONE, ROOM, "poll").is_allowed
    monkeypatch.setenv("SHELLBOT_ACCESS_COMMANDS_MY_WORD", "leads")
    with pytest.raises(ConfigError, match="there is no command 'my_word'; did you mean 'my-word'"):
        Access.read(Context(), ["my-word"])


@pytest.mark.parametrize("value", ["nobody", ["a1"], True])
def test_rules_that_are_no_rules_open_nothing(value):
    with pytest.raises(ConfigError, match=r"general\.access: this is no rule; there are access\.admins"):
        Access.read(Context({"access": value}))


@pytest.mark.parametrize(
    "settings",
    [
        {"access": {"people": "$NOBODY_SAID"}},
        {"access": {"commands": {"poll": "$NOBODY_SAID"}}},
        {"access": {"people": 5}},
        {"access.people": {"a1": True}},
        {"access.commands.poll": [1]},
    ],
    ids=str,
)
def test_what_cannot_be_read_opens_nothing(settings):
    with pytest.raises(ConfigError, match=r"access\.(people|commands\.poll)"):
        Access.read(Context(settings))


# --- whatever the rules are

IDS = ["a1", "b1", "c1"]
ADDRESSES = ["", "a@example.com", "b@other.example"]
PEOPLE = st.builds(Person, st.sampled_from(IDS), st.sampled_from(["", *IDS, "leads"]), st.sampled_from(ADDRESSES))
NAMES = st.lists(st.sampled_from([*IDS, *ADDRESSES[1:], "@example.com", "@other.example"]), max_size=3)
KEYWORDS = ["poll", "close", "echo"]
RULES = st.fixed_dictionaries(
    {},
    optional={
        "access.admins": NAMES,
        "access.people": NAMES,
        "access.domains": st.lists(st.sampled_from(["example.com", "other.example"]), max_size=2),
        "access.rooms": st.lists(st.sampled_from(["room-1", "room-2"]), max_size=2),
        "access.roles.leads": NAMES,
        "access.roles.staff": NAMES,
        "access.commands.poll": st.lists(st.sampled_from([*IDS, "leads", "staff", "everybody"]), max_size=3),
        "access.commands.close": st.lists(st.sampled_from([*IDS, "leads", "@example.com", "admins"]), max_size=3),
    },
)
CALLS = st.tuples(
    PEOPLE,
    st.sampled_from([ROOM, OTHER, DIRECT]),
    st.sampled_from(KEYWORDS),
    st.sampled_from(["use", "administer", "own"]),
)


@given(RULES, RULES, CALLS)
def test_naming_others_in_a_rule_that_is_there_never_takes_a_right_away(rules, more, call):
    """A rule that was not there may: then only those it names are meant. To name admins or a role takes nothing."""
    wider = {key: [*words, *more.get(key, ())] for key, words in rules.items()}
    for key in ("access.admins", "access.roles.leads", "access.roles.staff"):
        wider.setdefault(key, more.get(key, []))
    if Access.of(rules).decide(*call).is_allowed:
        assert Access.of(wider).decide(*call).is_allowed


@given(RULES, NAMES, CALLS)
def test_a_rule_for_one_command_touches_no_other(rules, words, call):
    other = Access.of({**rules, "access.commands.version": words})
    assert other.decide(*call) == Access.of(rules).decide(*call)


@given(RULES, CALLS)
def test_nobody_administers_who_is_not_named(rules, call):
    person, channel, keyword, _ = call
    decision = Access.of(rules).decide(person, channel, keyword, "administer")
    names = {person.id, person.address, "@" + person.address.rpartition("@")[2]}
    roles = {name.removeprefix("access.roles.") for name in rules if "roles" in name and names & set(rules[name])}
    named = {*rules.get("access.admins", ()), *rules.get(f"access.commands.{keyword}", ())}
    if decision.is_allowed:
        assert named & (names | roles | {"everybody"})


@given(RULES, CALLS, st.text(max_size=20))
def test_what_somebody_is_called_changes_nothing(rules, call, name):
    person, *rest = call
    access = Access.of(rules)
    assert (
        access.decide(person, *rest).is_allowed
        == access.decide(Person(person.id, name, person.address), *rest).is_allowed
    )


@given(RULES, CALLS)
def test_an_admin_may_everything(rules, call):
    person, *rest = call
    rules = {**rules, "access.admins": [person.id]}
    assert Access.of(rules).decide(person, *rest, owner="somebody else").is_allowed


def test_each_list_is_a_setting_that_is_declared_and_each_command_that_comes_along_is_known():
    from shellbot.settings import DECLARED
    from shellbot.tools.access import KINDS

    assert {f"access.{name}" for name in LISTS} == {key for key in DECLARED if key.startswith("access.")}
    assert {kind.keyword for kind in KINDS} == BUILT_IN
