"""Rolls as people keep them: read from a sheet, with what is wrong in which line, and matched with those known."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shellbot.events import Person
from shellbot.markup import one_line
from shellbot.polls.roll import Entry, Known, doubles, match, problems, read, write
from shellbot.polls.sheet import rows, written


def entries(text):
    found = read(text if isinstance(text, bytes) else text.encode())
    assert not found.mistakes, found.mistakes
    return [(entry.id, entry.address, entry.name) for entry in found.entries]


def mistakes(text):
    return [
        (mistake.line, mistake.text) for mistake in read(text if isinstance(text, bytes) else text.encode()).mistakes
    ]


BOTH = [("", "a@example.org", "Person A"), ("", "b@example.org", "Person B")]


@pytest.mark.parametrize(
    "text",
    [
        "name,address\nPerson A,a@example.org\nPerson B,b@example.org\n",
        "\ufeffName;E-Mail\r\nPerson A;a@example.org\r\nPerson B;b@example.org",
        'Department,Display Name,e_mail\n"R, D",Person A,a@example.org\n,"Person B", b@example.org \n',
        "name\taddress\rPerson A\ta@example.org\rPerson B\tb@example.org\r",
        "sep=;\nname;address\n\nPerson A;a@example.org\n;\nPerson B;b@example.org\n",
        '"name","address"\n"Person\nA","a@example.org"\n"Person B","b@example.org"\n',
        "Person A,a@example.org\nb@example.org,Person B\n",
        "name,address\nPerson A,a@example.org\nPerson B,b@example.org\n".encode("utf-16"),
    ],
)
def test_a_sheet_is_read_however_it_was_saved(text):
    assert entries(text) == BOTH


def test_one_column_without_a_head_holds_addresses_names_or_ids():
    assert entries("a@example.org\nPerson B\n\nid-7\n") == [
        ("", "a@example.org", ""),
        ("", "", "Person B"),
        ("", "", "id-7"),
    ]


def test_lines_are_those_of_the_file():
    found = read(b'sep=;\nid;name\n\n1;"Person\nA"\n2;Person B\n')
    assert [entry.line for entry in found.entries] == [4, 6]


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ('name\nPerson A\n"Person B\n', 3, "the quotes in it do not match"),
        ("id,name\n1,Person A\n2,Person B,x\n", 3, "it has 3 cells, and the first row names 2"),
        ("team,name\nA,Person A\nB,\n", 3, "neither id, nor address, nor name"),
        ("Person A,7,x\n", 1, "name the columns in a first row"),
        ("Doe,Person A\n", 1, "name the columns in a first row"),
        ("name,name\nPerson A,Person B\n", 1, "two columns are called name"),
        ("name\n" + "x" * 301, 2, "more than 300 characters"),
        (b"name\nPerson A\nPers\xf6n B\n", 3, "no UTF-8"),
        ("", 0, "nobody in it"),
        ("name\n", 0, "nobody in it"),
        (b"\xff\xfe\x00", 1, "no UTF-8"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text, line, told):
    (found,) = mistakes(text)
    assert found[0] == line
    assert told in found[1]


def test_all_lines_that_are_wrong_are_told_at_once_and_the_others_are_read():
    found = read(b"id,name\n,\n1,Person A\n2,B,C\n3,B,C,D\n")
    assert [mistake.line for mistake in found.mistakes] == [4, 5]
    assert [entry.name for entry in found.entries] == ["Person A"]


cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(one_line)


@given(st.lists(st.tuples(cells, cells, cells).filter(any), min_size=1))
@example([("=1+1", "", "'=x"), ("''-", "@b", "+c"), ('"', ",;", "'")])
def test_what_is_written_is_read_again(people):
    roll = [Entry(line, *person) for line, person in enumerate(people, 2)]
    found = read(write(roll).encode())
    assert not found.mistakes
    assert [(entry.id, entry.address, entry.name) for entry in found.entries] == people


@given(
    st.lists(st.lists(cells.filter(lambda cell: not cell.startswith("'")), min_size=2, max_size=4).filter(any)),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_a_sheet_of_another_program_is_read_as_it_was_meant(table, delimiter, end, is_quoted):
    file = io.StringIO()
    style = csv.QUOTE_ALL if is_quoted else csv.QUOTE_MINIMAL
    head = ["id", "address", "name", "more"]
    csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=style).writerows([head, *table])
    assert [list(row.cells) for row in rows(file.getvalue())] == [head, *table]


@given(st.binary(max_size=200))
@example(b"\x00\n\x00")
@example(b'"')
@example(b"id\n=\n")
def test_whatever_a_file_holds_it_is_read_or_its_mistakes_are_told(data):
    found = read(data)
    assert found.entries or found.mistakes
    assert all(entry.id or entry.address or entry.name for entry in found.entries)


@given(st.text(max_size=10))
@example("=cmd|' /C calc'!A0")
@example("\t=1")
def test_no_cell_that_is_written_is_a_formula(text):
    (row,) = csv.reader(io.StringIO(written([[text, "x"]]), newline=""))
    assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


PEOPLE = [
    Known(Person("1", "Person A", "a@example.org"), "direct-1", frozenset({"group"})),
    Known(Person("2", "Person B", "b@example.org"), "", frozenset({"group"})),
    Known(Person("3", "Person C"), "direct-3"),
    Known(Person("4", "Person C"), "direct-4"),
]


def told(text):
    return [(mistake.line, mistake.text) for mistake in problems(match(read(text.encode()).entries, PEOPLE))]


def test_somebody_is_found_by_id_address_or_name_and_case_does_not_matter():
    found = match(read(b"id,address,name\n1,,\n,A@Example.ORG,\n,,person  a\n,,3\n").entries, PEOPLE)
    assert [each.known.person.id for each in found] == ["1", "1", "1", "3"]
    assert [each.first for each in found] == [0, 2, 2, 0]


def test_each_line_that_is_wrong_says_what_to_do():
    found = told(
        "id,address,name\n1,a@example.org,Person A\n,,PERSON A\n,b@example.org,\n,,Person C\n1,b@example.org,\n"
        ",x@example.org,Person X\n,X@example.org,\n"
    )
    assert found == [
        (3, "PERSON A is on it twice: line 2 is the same person; take one of them out"),
        (4, "b@example.org cannot be reached: there is no direct channel; ask them to write to the bot once"),
        (
            5,
            "Person C: several people are called so; write the id or the address of the one who is meant, under a head "
            "of that name",
        ),
        (6, "b@example.org is on it twice: line 2 is the same person; take one of them out"),
        (
            7,
            "Person X <x@example.org> is unknown: no such person has met the bot; correct it, or ask them to write to "
            "the bot once",
        ),
        (8, "X@example.org is on it twice: line 7 is the same person; take one of them out"),
    ]


def test_an_id_and_an_address_of_two_people_are_told_apart():
    ((line, text),) = told("id,address\n1,b@example.org\n")
    assert line == 2
    assert "the id is of one person, the address of another" in text


def test_an_id_that_is_wrong_is_not_made_up_for_by_a_name():
    ((_, text),) = told("id,name\n9,Person A\n")
    assert "Person A <9> is unknown" in text


ALIKE = [  # what is the id or the address of one is the name of another
    Known(Person("bob", "Person A"), "direct-1"),
    Known(Person("7", "Bob"), "direct-7"),
    Known(Person("8", "Person D", "d@example.org"), "direct-8"),
    Known(Person("9", "D@example.org"), "direct-9"),
    Known(Person("person b", "Person B"), "direct-b"),
]


def test_an_id_an_address_and_a_name_that_read_alike_are_different_people():
    sheet = read(b"id,address,name\nbob,,\n,,Bob\n,d@example.org,\n9,,D@example.org\n")
    assert doubles(sheet.entries) == {}
    found = match(sheet.entries, ALIKE)
    assert [each.known.person.id for each in found] == ["bob", "7", "8", "9"]
    assert list(problems(found)) == []


def test_ids_that_differ_in_case_are_different_people():
    sheet = read(b"id\nabc\nABC\n")
    assert doubles(sheet.entries) == {}
    found = match(sheet.entries, [Known(Person(id_, "Person A"), f"direct-{id_}") for id_ in ("abc", "ABC")])
    assert [(each.known.person.id, each.first) for each in found] == [("abc", 0), ("ABC", 0)]


def test_a_word_without_a_head_that_means_several_people_is_told_and_nobody_is_taken():
    found = match(read(b"bob\nd@example.org\nperson b\n").entries, ALIKE)
    assert [each.why for each in found] == ["ambiguous", "", ""]
    assert [each.known and each.known.person.id for each in found] == [None, "8", "person b"]
    ((_, text),) = [(mistake.line, mistake.text) for mistake in problems(found)]
    assert text == (
        "bob: several people are called so; write the id or the address of the one who is meant, under a head of "
        "that name"
    )
    (each,) = match(read(b"name\nd@example.org\n").entries, ALIKE)
    assert each.why == "ambiguous"


def test_doubles_are_found_before_anybody_is_known():
    found = read(b"address\na@example.org\nA@EXAMPLE.org\nb@example.org\n")
    assert doubles(found.entries) == {3: 2}
