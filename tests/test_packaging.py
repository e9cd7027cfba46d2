"""What people install: the wheel and the sdist are whole, and say truly what they need."""

from __future__ import annotations

import email.message
import email.parser
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import shellbot

ROOT = Path(shellbot.__file__).parent.parent

pytestmark = pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="only in a checkout")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel and an sdist of this checkout, built with the tools that are installed here."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    # A copy: a build writes beside its sources, and what an older one left there would be packed.
    left = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "artifacts")
    shutil.copytree(ROOT, source, ignore=left)
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--wheel", "--outdir", folder, source, cwd=folder)
    return {"source": source, "wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


@pytest.fixture(scope="session")
def metadata(built: dict[str, Path]) -> email.message.Message:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return email.parser.Parser().parsestr(wheel.read(name).decode())


def modules(source: Path) -> list[str]:
    """Every module of the package, by its files."""
    names = []
    for path in sorted((source / "shellbot").rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


@pytest.mark.timeout(120)  # builds, and starts pip: the limit is for slow machines
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_every_module_can_be_imported_where_it_is_installed(built: dict[str, Path], tmp_path: Path, kind: str) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    # What shellbot needs is taken from here, but for shellbot itself, which lies in this checkout.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install", "--quiet"]
    run(*pip, "--ignore-installed", "--no-deps", "--no-build-isolation", "--no-index", built[kind], cwd=tmp_path)

    program = """
import importlib, pathlib, sys
import shellbot
assert pathlib.Path(shellbot.__file__).is_relative_to(sys.prefix), shellbot.__file__
for name in sys.argv[1:]:
    importlib.import_module(name)
print(shellbot.__version__)
"""
    assert (
        run(python, "-I", "-W", "error", "-c", program, *modules(built["source"]), cwd=tmp_path).strip()
        == shellbot.__version__
    )
    assert (tmp_path / "venv" / "bin" / "shellbot").exists()


@pytest.mark.timeout(120)
def test_the_wheel_holds_all_files_of_the_package_and_nothing_else(built: dict[str, Path]) -> None:
    expected = {
        str(path.relative_to(built["source"])) for path in (built["source"] / "shellbot").rglob("*") if path.is_file()
    }
    with zipfile.ZipFile(built["wheel"]) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
        assert [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]
    assert packed == expected


@pytest.mark.timeout(120)
def test_the_sdist_can_be_built_and_tested_again(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"setup.py", "pyproject.toml", "README.md", "LICENSE", "requirements.txt", "tests/conftest.py"} <= names
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.timeout(120)
def test_requirements_are_those_of_setup_with_all_extras(metadata: email.message.Message) -> None:
    declared = {_plain(line.partition(";")[0]) for line in metadata.get_all("Requires-Dist", [])}
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    assert {_plain(line) for line in lines if line.strip() and not line.startswith("#")} == declared


@pytest.mark.timeout(120)
def test_each_dependency_has_a_sentence(metadata: email.message.Message) -> None:
    page = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text("utf-8").lower()
    names = {re.split(r"[<>=; ]", line)[0].lower() for line in metadata.get_all("Requires-Dist", [])}
    assert {name for name in names if name not in page and not name.startswith("types-")} == set()


@pytest.mark.timeout(120)
def test_metadata(metadata: email.message.Message) -> None:
    assert metadata["Name"] == "shellbot"
    assert metadata["Version"] == shellbot.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra", [])) == {"png", "test", "webex"}
    core = [line for line in metadata.get_all("Requires-Dist", []) if "extra" not in line]
    assert any(line.startswith("pyzmq") for line in core)
    assert not any(line.startswith(("pillow", "pytest", "webexteamssdk")) for line in core)


def _plain(requirement: str) -> str:
    return requirement.replace(" ", "").lower()
