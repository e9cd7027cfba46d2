"""Who is here, as a bot sees it."""

from __future__ import annotations


async def test_a_bot_knows_who_is_here_in_the_order_they_came_also_after_a_restart(party):
    for names in (("Person B", "Person A"), ()):
        async with party(*names) as people:
            group, direct = people.engine.agent("group"), people.engine.agent("direct-person-a")
            assert [person.name for person in group.people] == ["Person B", "Person A"]
            assert [person.name for person in direct.people] == ["Person A"]


async def test_who_has_left_is_no_longer_here(party):
    async with party("Person A", "Person B") as people:
        await (await people.space.leave("group", people.people["Person A"]))
        assert [person.name for person in people.engine.agent("group").people] == ["Person B"]
        assert people.engine.agent("direct-person-a").people == []
