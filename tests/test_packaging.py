"""What others install: archives that hold all they need, links that lead somewhere, one version, a release."""

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILD = """
import sys
from hatchling.build import build_sdist, build_wheel
print(build_sdist(sys.argv[1]))
print(build_wheel(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The source archive and the wheel, made from this tree."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    source, wheel = done.stdout.split()[-2:]
    return folder / source, folder / wheel


@pytest.fixture(scope="module")
def metadata(archives):
    with zipfile.ZipFile(archives[1]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(wheel.read(name))


def test_the_source_archive_holds_what_the_readme_needs(archives):
    with tarfile.open(archives[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "constraints.txt", "pyproject.toml", "LICENSE", "tests/conftest.py", ".ci/run"} <= names
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository to compare with: this is an unpacked archive")
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert set(kept) - names == set()


def test_the_wheel_holds_the_package_and_nothing_else(archives):
    with zipfile.ZipFile(archives[1]) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pluraljax"}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "pluraljax").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules


def test_the_description_has_no_relative_link(metadata):
    text = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    source = metadata_urls(metadata)["Source"]
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", text)
    raw = source.replace("https://github.com", "https://raw.githubusercontent.com") + "/main/"
    # What comes after the address is a file that is here.
    for link in links:
        base = raw if link in pictures else f"{source}/blob/main/"
        if link.startswith(base):
            assert (ROOT / link.removeprefix(base).partition("#")[0]).exists(), link
    assert pictures
    assert all(picture.startswith(raw) for picture in pictures)


def metadata_urls(metadata):
    return dict(entry.split(", ", 1) for entry in metadata.get_all("Project-URL"))


def test_who_and_where_is_said_once(metadata):
    urls = metadata_urls(metadata)
    assert set(urls) == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert metadata["Author"] == PROJECT["authors"][0]["name"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == metadata["Version"] == PROJECT["version"]
    assert citation["license"] == metadata["License-Expression"]
    assert citation["repository-code"] == urls["Source"]
    assert citation["url"] == urls["Homepage"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_pythons_that_are_promised_are_those_that_are_tested():
    promised = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d", line)]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert workflow["jobs"]["checks"]["strategy"]["matrix"]["python"] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"
    release = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert re.findall(r"python(3\.\d+)", release) == promised


@pytest.mark.parametrize("file", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_workflows_and_forms_are_read(file):
    data = yaml.safe_load(file.read_text())
    if file.parent.name == "workflows":
        for job in data["jobs"].values():
            for step in job["steps"]:
                script = step.get("run", "").split(" ")[0]
                assert not script.startswith(".ci/") or (ROOT / script).exists(), script
    elif file.name != "config.yml":
        assert data["name"]
        assert data["body"]


def test_every_pinned_package_may_be_installed():
    """Each requirement of an extra allows the version that constraints.txt pins."""
    from packaging.requirements import Requirement

    pins: dict[str, set[str]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition(" ;")[0].partition("==")
        pins.setdefault(name, set()).add(version)
    groups = {"dependencies": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    for group, wanted in groups.items():
        for text in wanted:
            requirement = Requirement(text)
            found = pins.get(requirement.name.lower(), set())
            assert found, f"{group}: constraints.txt pins no {requirement.name}"
            assert any(requirement.specifier.contains(v, prereleases=True) for v in found), f"{group}: {text}, {found}"
