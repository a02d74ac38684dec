"""A run's index.html: what it holds, and that it works in a browser, opened from disk."""

import base64
import json
import os
import re
import shutil
import tracemalloc

import numpy as np
import pytest
from small_runs import give, make_run

import main
import utils
from config import METRICS_FILE, RESULTS_FILE
from inference import html_report
from options import UserError


@pytest.fixture
def trained(tmp_path):
    """The config of a run with metrics and three sample grids."""
    return make_report_run(tmp_path)


def make_report_run(out_dir, name="run", side=8, **more):
    asked = make_run(out_dir, "mnist", name=name).replace(out_name=name)
    folder = asked.run_dir
    lines = [
        {
            "step": step,
            "seconds": 0.5 * step,
            "epoch": 0,
            "d_loss": 1.4 - 0.01 * step,
            "g_loss": None if step == 3 else 0.7,
            "d_accuracy": 0.5,
            **more,
        }
        for step in range(1, 31)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    utils.write_text(os.path.join(folder, METRICS_FILE), text + '[1]\n{"step": 31, "d_l')
    for step in (10, 20, 30):
        picture = np.random.RandomState(step).randint(0, 256, (side, side, 1)).astype(np.uint8)
        utils.write_png(os.path.join(folder, "samples", f"train_{step:08d}.png"), picture)
    return asked


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def grids_of(text):
    return json.loads(re.search(r'id="grids">(.*?)</script>', text, re.S).group(1))


def test_it_holds_the_run(trained):
    text = read(html_report.write_page(trained))
    folder = trained.run_dir
    grids = grids_of(text)
    assert [grid["step"] for grid in grids] == [10, 20, 30]
    for grid in grids:
        path = os.path.join(folder, "samples", f"train_{grid['step']:08d}.png")
        with open(path, "rb") as file:
            assert base64.b64decode(grid["uri"].split(",")[1]) == file.read()
    assert "<td>16</td>" in text  # 8 images in half a second
    assert "<td>1.1000</td>" in text  # the last d_loss
    assert "z_dim = 4" in text
    for name in ("loss.png", "d_accuracy.png"):
        with open(os.path.join(folder, name), "rb") as file:
            assert base64.b64encode(file.read()).decode() in text


def test_speed_is_that_of_all_ranks(tmp_path):
    text = read(html_report.write_page(make_report_run(tmp_path, ranks=8)))
    assert "<td>128.00</td>" in text  # 8 ranks, 8 images each in half a second


def test_it_asks_no_network(trained):
    text = read(html_report.write_page(trained))
    addresses = re.findall(r'(?:src|href)="([^"]*)"|url\(', text)
    assert addresses and all(address.startswith("data:") for address in addresses)
    assert "http:" not in text and "https:" not in text


def test_metrics_are_shown(trained):
    results = {
        "real": {"frechet": 0.25},
        "notes": ["a <b>note</b>"],
        "checkpoints": [{"step": 5, "frechet": 12.34567, "kid": 0.5}],
    }
    utils.write_text(os.path.join(trained.run_dir, RESULTS_FILE), json.dumps(results))
    utils.write_png(os.path.join(trained.run_dir, "metrics.png"), np.zeros((4, 4, 1), np.uint8))
    text = read(html_report.write_page(trained))
    assert "<td>12.35</td>" in text and "<td>0.25</td>" in text
    assert "a &lt;b&gt;note" in text


def test_broken_metrics_are_named(trained):
    utils.write_text(os.path.join(trained.run_dir, RESULTS_FILE), '{"real": 3}')
    with pytest.raises(UserError, match="metrics.json: cannot be read"):
        html_report.write_page(trained)


def test_many_grids_are_thinned_out(trained, monkeypatch):
    monkeypatch.setattr(html_report, "GRID_BYTES", 150)
    text = read(html_report.write_page(trained))
    assert [grid["step"] for grid in grids_of(text)] == [10, 30]
    assert "1 of 3 grids left out" in text


def test_images_of_the_users_are_not_grids(trained):
    with open(os.path.join(trained.sample_path, "train_mine.png"), "wb"):
        pass
    assert [grid["step"] for grid in grids_of(read(html_report.write_page(trained)))] == [
        10,
        20,
        30,
    ]


def test_run_that_has_nothing_yet(tmp_path):
    text = read(html_report.write_page(make_run(tmp_path, "image", steps=())))
    assert "None yet." in text


def test_names_are_escaped(tmp_path):
    asked = make_report_run(tmp_path, name="<img src=x>")
    assert "<img src=x>" not in read(html_report.write_page(asked))


def test_training_leaves_a_page(tmp_path):
    assert (
        main.main(
            [
                "main.py",
                "--train",
                "--dataset=synthetic_mnist",
                "--train_size=16",
                "--epoch=1",
                "--batch_size=8",
                "--gf_dim=2",
                "--df_dim=2",
                "--gfc_dim=8",
                "--dfc_dim=8",
                "--z_dim=4",
                f"--out_dir={tmp_path}",
                "--out_name=run",
                "--device=cpu",
            ]
        )
        == 0
    )
    text = read(str(tmp_path / "run" / "index.html"))
    assert [grid["step"] for grid in grids_of(text)] == [2]


def test_only_regular_files_inside_the_run_are_shown(trained, tmp_path_factory, capsys):
    """A link out of the run, a dangling one, a folder and a FIFO, each named as a grid."""
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.png"
    secret.write_bytes(b"a secret of somebody else's")
    folder = trained.sample_path
    os.symlink(str(secret), os.path.join(folder, "train_00000040.png"))
    os.symlink("nowhere", os.path.join(folder, "train_00000050.png"))
    os.mkdir(os.path.join(folder, "train_9.png"))
    os.mkfifo(os.path.join(folder, "train_00000060.png"))
    os.symlink(str(secret), os.path.join(trained.run_dir, "metrics.png"))
    text = read(html_report.write_page(trained))
    assert [grid["step"] for grid in grids_of(text)] == [10, 20, 30]
    assert base64.b64encode(secret.read_bytes()).decode() not in text
    assert "metrics.png: not shown in index.html: it is outside" in capsys.readouterr().err


def test_a_sample_folder_that_links_out_of_the_run_is_not_shown(trained, tmp_path, capsys):
    outside = str(tmp_path / "outside")
    os.rename(trained.sample_path, outside)
    os.symlink(outside, trained.sample_path)
    assert "None yet." in read(html_report.write_page(trained))
    assert "train_00000030.png: not shown" in capsys.readouterr().err
    asked = give(trained, sample_dir=outside)  # the user names it
    assert len(grids_of(read(html_report.write_page(asked)))) == 3


def test_results_without_a_plot(trained):
    """As --evaluate=features leaves them."""
    found = {"features": {"accuracy": 91.5, "dimensions": 400, "step": 5}}
    utils.write_text(os.path.join(trained.run_dir, RESULTS_FILE), json.dumps(found))
    assert "right on 91.50 %" in read(html_report.write_page(trained))


def test_the_page_of_a_long_training_needs_little_memory(trained):
    """200,000 lines, 30 MB; what has to be loaded to plot is loaded before."""
    html_report.write_page(trained)
    path = os.path.join(trained.run_dir, METRICS_FILE)
    line = '{{"step": {0}, "seconds": {0}.5, "d_loss": 1.1, "g_loss": 0.7, "d_accuracy": 0.5, "{1}"'
    with open(path, "w") as file:
        for step in range(1, 200001):
            file.write(line.format(step, "x" * 60) + ": 0}\n")
    tracemalloc.start()
    try:
        text = read(html_report.write_page(trained))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "<td>200000</td>" in text
    assert peak < 30 << 20


@pytest.fixture
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver on PATH (Debian: chromium, chromium-driver)")
    wanted = Options()
    wanted.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        wanted.add_argument(argument)
    wanted.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service(driver), options=wanted)
    yield driver
    driver.quit()


def test_it_works_in_a_browser(trained, browser):
    browser.get("file://" + html_report.write_page(trained))
    assert browser.title == "run"
    shown = []
    for position in ("2", "0", "1"):
        browser.execute_script(
            "const slider = document.getElementById('slider'); slider.value = arguments[0];"
            "slider.dispatchEvent(new Event('input'));",
            position,
        )
        # The picture's pixels as the browser decoded them, not its address.
        shown.append(
            browser.execute_async_script(
                "const done = arguments[0], image = document.getElementById('grid');"
                "image.decode().then(() => { const canvas = document.createElement('canvas');"
                "canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;"
                "const pen = canvas.getContext('2d'); pen.drawImage(image, 0, 0);"
                "done([document.getElementById('step').textContent,"
                "Array.from(pen.getImageData(0, 0, canvas.width, canvas.height).data)]); });"
            )
        )
    for (step, pixels), expected in zip(shown, (30, 10, 20)):
        assert step == str(expected)
        grid = np.reshape(pixels, (8, 8, 4))[..., :1]
        np.testing.assert_array_equal(
            grid,
            utils.read_png(os.path.join(trained.run_dir, "samples", f"train_{expected:08d}.png")),
        )
    broken = browser.execute_script(
        "return Array.from(document.images).filter(i => !i.naturalWidth).map(i => i.alt)"
    )
    assert broken == []
    assert browser.get_log("browser") == []
