"""--kernels: measured once on a machine, filed with the run, the same at every resume."""

import pytest

import kernels
from config import Config
from options import DeviceError


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user cache"))


@pytest.fixture
def measurements(monkeypatch):
    """A TensorFlow on which `native` is the fastest; the list of all that was measured."""
    measured = []

    def seconds(architecture):
        measured.append(architecture)
        return {name: 1.0 if name == "native" else 2.0 for name in kernels.PRODUCTS}

    monkeypatch.setattr(kernels.tf, "__version__", "2.21.0")
    monkeypatch.setattr(kernels, "_measured_apart", seconds)
    return measured


def test_measured_once_for_each_pair(measurements, capsys):
    for architecture in ("image", "image", "mnist", "image"):
        chosen = kernels.choose(Config(architecture=architecture), native=False)
        assert chosen.kernels == "native"
    assert measurements == ["image", "mnist"]
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("kernels: measuring which are fastest here, once") == 2
    assert lines.count("kernels: native, measured on this machine (--kernels sets others)") == 4


def test_what_another_process_filed_first_counts(measurements, monkeypatch):
    def filed_meanwhile(architecture):
        kernels._filed(kernels._path(architecture), "onednn")
        return {"native": 1.0}

    monkeypatch.setattr(kernels, "_measured_apart", filed_meanwhile)
    assert kernels.choose(Config(architecture="image"), native=False).kernels == "onednn"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"fastest": "fast"}', '{"fastest": 1}'])
def test_a_damaged_file_is_measured_again(measurements, content):
    kernels._filed(kernels._path("image"), "onednn")
    with open(kernels._path("image"), "w") as file:
        file.write(content)
    assert kernels.choose(Config(architecture="image"), native=False).kernels == "native"


def test_a_cache_that_cannot_be_written(measurements, monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert kernels.choose(Config(architecture="image"), native=False).kernels == "native"
    assert "is not saved and will be measured again" in "".join(capsys.readouterr())


def test_nothing_to_measure(measurements, monkeypatch):
    config = Config(architecture="image")
    assert kernels.choose(config.replace(kernels="cpu"), native=False).kernels == "cpu"
    assert kernels.choose(config, native=True).kernels == "auto"
    monkeypatch.setattr(kernels.tf, "__version__", "1.15.5")
    assert kernels.choose(config, native=False).kernels == "winograd"
    assert measurements == []


def test_devices_with_kernels_of_their_own():
    assert kernels.products_of(Config(kernels="cpu"), native=True) is kernels.PRODUCTS["native"]


@pytest.mark.parametrize("version, expected", [("1.15.5", "winograd"), ("2.21.0", "onednn")])
def test_likely_without_a_measurement(monkeypatch, version, expected):
    monkeypatch.setattr(kernels.tf, "__version__", version)
    assert kernels.products_of(Config(), native=False) is kernels.PRODUCTS[expected]


@pytest.mark.parametrize("architecture", sorted(kernels.LAYERS))
def test_a_measurement(monkeypatch, architecture):
    monkeypatch.setattr(kernels, "BATCH", 1)
    assert kernels._measured(kernels.PRODUCTS["cpu"], architecture) > 0


def test_measuring_opens_no_session_in_this_process(monkeypatch):
    monkeypatch.setattr(kernels.tf, "Session", lambda **_: pytest.fail("a session"))
    seconds = kernels._measured_apart("mnist")
    assert set(seconds) == set(kernels.PRODUCTS) and min(seconds.values()) > 0


def test_a_measurement_that_fails_names_the_flag(monkeypatch):
    with pytest.raises(DeviceError, match="^--kernels: measuring them failed .KeyError: 'none'.; "):
        kernels._measured_apart("none")
