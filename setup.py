"""What shellbot is called, needs and brings. requirements.txt lists the same with all extras; a test compares."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# One sentence on each stands in docs/decisions/0001-dependencies.md.
CORE = [
    "a2wsgi>=1.10.8",
    "click>=8.1",
    "flask>=3.0",
    "itsdangerous>=2.1",
    "markdown-it-py>=3.0",
    "msgspec>=0.19",
    "nh3>=0.2.18",
    "orjson>=3.10",
    "prompt_toolkit>=3.0.43",
    "PyYAML>=6.0.1",
    "PyNaCl>=1.5",
    "pyzmq>=26.2",
    "six>=1.16",
    "uvicorn>=0.30",
]
EXTRAS = {
    "png": ["pillow>=10.3"],
    "webex": ["webexteamssdk>=1.6.1", "websockets>=17"],
    "test": [
        "axe-playwright-python>=0.1.4",
        "build>=1.2",
        "hypothesis>=6.100",
        "import-linter>=2.1",
        "mypy>=1.13",
        "playwright>=1.48",
        "pytest>=8.3",
        "pytest-timeout>=2.3.1",
        "pytest-xdist>=3.6",
        "ruff>=0.8",
        "setuptools>=77",
        "types-PyYAML",
        "types-six",
    ],
}

version = re.search(r'^__version__ = "(.+)"$', (HERE / "shellbot" / "__init__.py").read_text("utf-8"), re.MULTILINE)
assert version is not None

setup(
    name="shellbot",
    version=version[1],
    description="A coordination bus for chat bots, and the chat-bot server on it",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["shellbot", "shellbot.*"]),
    package_data={
        "shellbot": ["py.typed"],
        "shellbot.server": ["templates/*", "static/*"],
        "shellbot.testing.fakewebex": ["templates/*", "static/*"],
    },
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["shellbot=shellbot.cli:main"],
        "pytest11": ["shellbot.testing.plugin = shellbot.testing.plugin"],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Framework :: AsyncIO",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Communications :: Chat",
        "Typing :: Typed",
    ],
)
