"""The chat in a browser: pages, forms and live updates over one HTTP port, on the engine's loop.

The only room that knows Flask and uvicorn; they are imported when :class:`ChatServer` is.
"""
