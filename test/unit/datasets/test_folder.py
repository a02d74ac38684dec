"""Finding the images of a folder: names, nesting, links, patterns, classes."""

import os

import image_files
import pytest

from datasets.folder import find_images
from options import UserError


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    return folder


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(root, **options):
    return list(find_images(str(root), name="set", **options).names)


def test_every_common_kind_in_any_case_and_depth(root):
    touch(root, "b.jpg", "a.JPEG", "c.Png", "deep/er/d.bmp", "deep/e.webp")
    touch(root, "f.gif", "g.TIF", "h.tiff", "i.jfif", "j.jpe")
    touch(root, "notes.txt", "k.heic", "jpg", ".hidden.jpg", ".folder/g.jpg", "deep/._c.jpg")
    assert found(root) == [
        "a.JPEG",
        "b.jpg",
        "c.Png",
        "deep/e.webp",
        "deep/er/d.bmp",
        "f.gif",
        "g.TIF",
        "h.tiff",
        "i.jfif",
        "j.jpe",
    ]


def test_files_of_other_endings_are_counted(root):
    touch(root, "a.jpg", "b.heic", "c.HEIC", "d.txt", "README")
    left_out = find_images(str(root), name="set").left_out
    assert left_out.startswith("left out: 2 .heic, ") and "1 without an ending" in left_out
    assert left_out.endswith("(.heic must be converted to JPEG or PNG first)")
    (root / "b.heic").unlink()
    (root / "c.HEIC").unlink()
    assert "--input_fname_pattern" in find_images(str(root), name="set").left_out
    assert find_images(str(root), name="set", pattern="*.jpg").left_out == ""


def test_only_images_that_must_be_converted(root):
    touch(root, "a.heic", "b.avif")
    with pytest.raises(
        UserError, match="; .avif and .heic must be converted to JPEG or PNG first$"
    ):
        find_images(str(root), name="set")


def test_names_in_any_script(root):
    names = [
        "face 1.jpg",
        "人脸/图片 二.png",
        "صورة/وجه.jpg",
        "[0-9]*?.jpg",
        "-x.jpg",
        "é\u0301.png",
    ]
    for number, name in enumerate(names):
        image_files.write(root / name, image_files.colors(5, 4, seed=number))
    source = find_images(str(root), name="set")
    assert sorted(source.names) == sorted(names)
    for index, name in enumerate(source.names):
        with source.open(index) as file:
            assert file.read() == (root / name).read_bytes()


def test_a_name_that_is_not_unicode(root):
    with open(os.path.join(os.fsencode(str(root)), b"\xff\xfe.jpg"), "wb") as file:
        file.write(b"x")
    source = find_images(str(root), name="set")
    with source.open(0) as file:
        assert file.read() == b"x"
    assert len(source.stamp()) == 64


def test_links_are_followed_and_loops_end(root, tmp_path):
    touch(root, "real/a.jpg", "real/deep/b.jpg")
    touch(tmp_path, "elsewhere/c.jpg", "d.jpg")
    links = {
        "again": root / "real",
        "real/up": root,
        "real/deep/self": root / "real" / "deep",
        "away": tmp_path / "elsewhere",
        "file.jpg": tmp_path / "d.jpg",
        "loop.jpg": root / "loop.jpg",
        "dead.jpg": tmp_path / "nowhere",
        "dead": tmp_path / "none",
    }
    for name, target in links.items():
        os.symlink(str(target), str(root / name))
    names = found(root)
    assert names == [
        "away/c.jpg",
        "dead.jpg",
        "file.jpg",
        "loop.jpg",
        "real/a.jpg",
        "real/deep/b.jpg",
    ]
    with pytest.raises(OSError):  # named and counted when it is read
        find_images(str(root), name="set").open(names.index("dead.jpg"))


def test_a_link_to_the_folder_itself(root, tmp_path):
    touch(root, "a.jpg")
    os.symlink(str(root), str(tmp_path / "link"))
    assert found(tmp_path / "link") == ["a.jpg"]


def test_a_pipe_is_not_an_image(root):
    touch(root, "a.jpg")
    os.mkfifo(str(root / "pipe.jpg"))
    assert found(root) == ["a.jpg"]


@pytest.mark.parametrize(
    "pattern, names",
    [
        ("*.gif", ["c.gif"]),
        ("*.jpg", ["a.jpg", "deep/d.jpg"]),
        ("?.JPG", ["b.JPG"]),
        ("deep/*", ["deep/d.jpg"]),
        ("*", ["a.jpg", "b.JPG", "c.gif", "deep/d.jpg", "e.txt"]),
        ("*.{JPG,gif}", ["b.JPG", "c.gif"]),
        ("*.JPG, *.gif", ["b.JPG", "c.gif"]),
        ("{deep/*,[ab]*.{jpg,JPG}}", ["a.jpg", "b.JPG", "deep/d.jpg"]),
    ],
)
def test_a_pattern(root, pattern, names):
    touch(root, "a.jpg", "b.JPG", "c.gif", "deep/d.jpg", "e.txt")
    assert found(root, pattern=pattern) == names


def test_classes_are_the_first_folders_sorted(root):
    touch(root, "dog/1.jpg", "cat/2.jpg", "cat/deep/3.jpg", "狐/4.jpg")
    source = find_images(str(root), name="set", labelled=True)
    assert source.class_names == ("cat", "dog", "狐")
    assert [source.class_names[k] for k in source.classes] == [
        name.split("/")[0] for name in source.names
    ]
    unlabelled = find_images(str(root), name="set")
    assert unlabelled.class_names == () and unlabelled.classes.tolist() == [0] * 4


def test_numbered_classes_are_in_the_order_of_their_numbers(root):
    touch(root, *[f"{number}/a.jpg" for number in range(12)])
    source = find_images(str(root), name="set", labelled=True)
    assert source.class_names == tuple(str(number) for number in range(12))
    assert [source.class_names[k] for k in source.classes] == [
        name.split("/")[0] for name in source.names
    ]


@pytest.mark.parametrize("folders, warned", [("train val", True), ("train cat", False)])
def test_parts_of_a_set_are_not_classes(root, folders, warned, capsys):
    touch(root, *[f"{folder}/cat/a.jpg" for folder in folders.split()])
    find_images(str(root), name="set", labelled=True)
    err = capsys.readouterr().err
    assert ("look like parts of the set" in err and f"--data_path={root}/train" in err) == warned


def test_a_pattern_with_a_thousand_braces_is_refused(root):
    touch(root, "a.jpg")
    with pytest.raises(UserError, match="--input_fname_pattern: more than 1000"):
        find_images(str(root), name="set", pattern="{a,b}" * 10)


def test_an_image_without_a_class_is_named(root):
    touch(root, "dog/1.jpg", "stray.jpg")
    with pytest.raises(UserError, match="--labels: stray.jpg"):
        find_images(str(root), name="set", labelled=True)


def test_a_zip_among_the_files_is_named(root):
    touch(root, "b.zip", "a/1.zip", "c.tar")
    with pytest.raises(UserError, match=": 2 .zip, 1 .tar; --data_path=.*/a/1.zip reads a zip"):
        find_images(str(root), name="set")


def test_nothing_there(root, tmp_path):
    with pytest.raises(UserError, match="--data_path: there is no folder .*missing"):
        find_images(str(tmp_path / "missing"), name="set")
    with pytest.raises(UserError, match="--data_path: no images .* among the 0 files in"):
        find_images(str(root), name="set")
    touch(root, "notes.txt")
    with pytest.raises(UserError, match="--data_path: there is no folder"):
        find_images(str(root / "notes.txt"), name="set")
    with pytest.raises(
        UserError, match=r"--input_fname_pattern: '\*.jpg' matches none of the 1 file"
    ):
        find_images(str(root), name="set", pattern="*.jpg")


def test_the_stamp_follows_every_change(root):
    touch(root, "a.jpg", "b.jpg")
    stamps = [find_images(str(root), name="set").stamp() for _ in range(2)]
    assert stamps[0] == stamps[1]
    (root / "a.jpg").write_bytes(b"longer")
    stamps.append(find_images(str(root), name="set").stamp())
    os.utime(str(root / "b.jpg"), (1, 1))
    stamps.append(find_images(str(root), name="set").stamp())
    os.rename(str(root / "b.jpg"), str(root / "c.jpg"))
    stamps.append(find_images(str(root), name="set").stamp())
    touch(root, "d.jpg")
    stamps.append(find_images(str(root), name="set").stamp())
    assert len(set(stamps)) == 5
