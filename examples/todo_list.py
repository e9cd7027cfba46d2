"""A list that a group shares: `todo Buy milk`, `todos`, `done 1`. It is kept, also when the server is killed.

shellbot run examples/todo_list.py
"""

from shellbot import Command, Engine, ShellBot
from shellbot.errors import UsageError
from shellbot.events import Person
from shellbot.markup import plain


class Todo(Command):
    keyword = "todo"
    information_message = "Put something on the list"
    in_direct = False

    async def execute(self, bot: ShellBot, text: str, *, person: Person) -> None:
        todos = bot.append("todos", {"text": text, "by": person.name})
        bot.say(f"{len(todos)}. {plain(text)}")


class Todos(Command):
    keyword = "todos"
    information_message = "Show the list"
    in_direct = False

    async def execute(self, bot: ShellBot) -> None:
        todos = bot.recall("todos", [])
        lines = [f"{number}. {plain(todo['text'])} ({plain(todo['by'])})" for number, todo in enumerate(todos, 1)]
        bot.say("\n".join(lines) or "Nothing is left to do.")


class Done(Command):
    keyword = "done"
    information_message = "Take something off the list"
    in_direct = False

    async def execute(self, bot: ShellBot, number: int, *, person: Person) -> None:
        todos = bot.recall("todos", [])
        if not 1 <= number <= len(todos):
            raise UsageError(f"There is no {number} on the list. Say `todos` to see it.")
        done = todos[number - 1]
        bot.remember("todos", [todo for todo in todos if todo is not done])
        bot.say(f"{plain(person.name)} has done: {plain(done['text'])}. {len(todos) - 1} left.")


def main(space: str = "web") -> None:
    Engine(type=space, commands=[Todo(), Todos(), Done()]).run()


if __name__ == "__main__":
    main()
