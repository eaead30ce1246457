"""What is missing, old or cannot be written is told with what would put it right."""

from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from sim2real.doctor import installation
from sim2real.doctor.installation import EXTRAS, check_installation

SETUP = ConfigParser()
SETUP.read(Path(__file__).parents[2] / "setup.cfg")


def test_nothing_is_wrong_where_the_tests_run(wrong, tmp_path):
    """All that is required is there."""
    findings = list(check_installation(tmp_path))
    assert wrong(findings) == []
    assert {"Python", "numpy", "engine 'bullet'", "record folders", "cores"} <= {
        one.about for one in findings
    }


def test_every_extra_says_what_it_brings():
    """Those of the package, less what its own developers install."""
    assert EXTRAS.keys() == set(SETUP["options.extras_require"]) - {"docs", "test"}


@pytest.mark.parametrize(
    ("found", "told"), [(None, "is missing"), ("1.2", "is 1.2, but sim2real needs >=1.26")]
)
def test_a_required_package_is_named_with_its_remedy(found, told, monkeypatch, wrong):
    """Missing or too old: how to install it, and nothing of what rests on it."""

    def versions(name):
        if name != "numpy":
            return version(name)
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(installation, "version", versions)
    findings = list(check_installation())
    (one,) = wrong(findings)
    assert one.about == "numpy"
    assert told in one.said
    assert "pip install 'numpy>=1.26'" in one.said
    assert "cores" not in {finding.about for finding in findings}


def test_an_extra_that_is_absent_is_not_wrong(monkeypatch, wrong):
    """It is told what it would bring."""

    def versions(name):
        if name == "distributed":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(installation, "version", versions)
    findings = {finding.about: finding for finding in check_installation()}
    assert wrong(findings.values()) == []
    assert findings["extra 'dask'"].fits is None
    assert (
        "without distributed; pip install 'sim2real[dask]' brings --executor dask"
        in findings["extra 'dask'"].said
    )


def test_an_engine_that_breaks_is_wrong_and_one_that_is_absent_is_not(monkeypatch):
    """A package that is there and cannot be imported is a fault, an optional one that is not there is none."""
    for error, fits in ((ImportError("undefined symbol"), False), (ModuleNotFoundError(name="mujoco"), None)):

        def fail(name, error=error):
            raise error

        monkeypatch.setattr(installation, "import_module", fail)
        assert installation._engine("mujoco").fits is fits


def test_a_folder_that_cannot_be_written_is_told(tmp_path, wrong):
    """Where record folders would be made, nothing is left behind by looking."""
    (tmp_path / "file").write_text("")
    assert [one.about for one in wrong(check_installation(tmp_path / "file" / "runs"))] == ["record folders"]
    assert wrong(check_installation(tmp_path / "runs")) == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_slows_many_workers_down_is_told(monkeypatch):
    """Threads that multiply with processes, and cores that this process may not use."""
    monkeypatch.setattr("os.cpu_count", lambda: 4096)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    findings = {finding.about: finding for finding in check_installation()}
    assert "give --workers" in findings["cores"].said
    assert "set OMP_NUM_THREADS=1" in findings["threads of arithmetic"].said
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    findings = {finding.about: finding for finding in check_installation()}
    assert findings["threads of arithmetic"].fits is True
