"""Finding the checkpoints of variants and training seeds."""

from __future__ import annotations

import shutil

import pytest

from wm_mpc.experiments.common.variants import (
    check_fits,
    doubts,
    find_checkpoints,
    open_checkpoint,
    variant_of,
)
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from wm_mpc.model.familiarity import Familiarity
from wm_mpc.model.world_model import WorldModel
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.sim.tasks.wall import Wall

ALL = ["random", "online", "adversarial"]


@pytest.fixture
def save(tmp_path):
    def save(name, synthesis=(), seed=0):
        path = tmp_path / f"{name}.safetensors"
        model = WorldModel(Wall.spec, Architecture(4, 4, 4, hidden=16))
        save_checkpoint(model, path, {"synthesis": list(synthesis), "seed": seed})
        return path

    return save


def found(*arguments, **settings):
    return [(c.variant, c.training_seed, c.path.stem)
            for c in find_checkpoints("wall", *arguments, **settings)]  # fmt: skip


@pytest.mark.parametrize(
    ("synthesis", "name"),
    [([], "none"), (["random"], "random"), (ALL, "all"), (ALL[::-1], "all"),
     (["random", "online"], "random+online")],
)  # fmt: skip
def test_variant_is_named_after_its_synthesis(synthesis, name):
    assert variant_of({"synthesis": synthesis}) == name


def test_default_is_the_shipped_checkpoint_of_the_task():
    assert found() == [("all", 0, "wall")]


def test_weight_of_the_place_is_that_of_the_checkpoint(save):
    path = save("plain")
    assert open_checkpoint(path).place_weight == 0.0
    model, _ = load_checkpoint(path)
    model.familiarity = Familiarity(1.0, 1.0, 1.0, 100, place_weight=0.25)
    save_checkpoint(model, path, {})
    assert open_checkpoint(path).place_weight == 0.25


def test_variants_come_in_the_order_given(save, tmp_path):
    save("wall_none"), save("wall_random", ["random"], 4)
    assert found(["random", "none"], folder=tmp_path) == [
        ("random", 4, "wall_random"), ("none", 0, "wall_none"),
    ]  # fmt: skip


def test_variant_may_name_a_file_or_a_shipped_checkpoint(save):
    path = save("anything", seed=3)
    assert found([f"mine={path}", "other=wall"]) == [("mine", 3, "anything"), ("other", 0, "wall")]


def test_training_seeds_are_pooled_from_their_files(save, tmp_path):
    for variant in ("none", "all"):
        for seed in (0, 1, 2):
            save(f"wall_{variant}_s{seed}", seed=seed)
    assert found(["none", "all"], [2, 0], tmp_path) == [
        ("none", 2, "wall_none_s2"), ("none", 0, "wall_none_s0"),
        ("all", 2, "wall_all_s2"), ("all", 0, "wall_all_s0"),
    ]  # fmt: skip


def test_file_without_a_seed_in_its_name_stands_for_its_own(save, tmp_path):
    save("wall_none", seed=0), save("wall_none_s1", seed=1)
    assert found(["none"], [0, 1], tmp_path) == [
        ("none", 0, "wall_none"), ("none", 1, "wall_none_s1"),
    ]  # fmt: skip


def test_without_training_seeds_the_plain_file_is_taken_else_the_lowest_seed(save, tmp_path):
    save("wall_none_s3", seed=3), save("wall_none_s12", seed=12)
    assert found(["none"], folder=tmp_path) == [("none", 3, "wall_none_s3")]
    save("wall_none", seed=7)
    assert found(["none"], folder=tmp_path) == [("none", 7, "wall_none")]


def test_given_folder_wins_over_shipped_ones(save, tmp_path, monkeypatch):
    shipped = tmp_path / "share" / "checkpoints"
    shipped.mkdir(parents=True)
    (tmp_path / "share" / "config").mkdir()
    monkeypatch.setattr("wm_mpc.resources.share_directory", lambda: tmp_path / "share")
    shutil.copy(save("wall_none", seed=5), shipped / "wall_none.safetensors")
    shutil.copy(save("wall_all", seed=5), shipped / "wall_all.safetensors")
    (tmp_path / "wall_all.safetensors").unlink()
    save("wall_none", seed=9)
    assert found(["none", "all"], folder=tmp_path) == [
        ("none", 9, "wall_none"), ("all", 5, "wall_all"),
    ]  # fmt: skip
    assert resolve_checkpoint("wall_all") == shipped / "wall_all.safetensors"


def test_own_checkpoint_of_the_task_stands_for_the_variant_it_is(save, tmp_path):
    assert found(["all"], folder=tmp_path) == [("all", 0, "wall")]
    save("wall_all", seed=8)
    assert found(["all"], folder=tmp_path) == [("all", 8, "wall_all")]


def test_missing_variant_says_what_there_is(save, tmp_path):
    save("wall_none")
    with pytest.raises(CheckpointError) as error:
        found(["online"], folder=tmp_path)
    assert "no checkpoint wall_online.safetensors" in str(error.value)
    assert "checkpoints of this task: wall, wall_none" in str(error.value)
    assert "--variants online=FILE" in str(error.value)


def test_missing_training_seed_is_named(save, tmp_path):
    save("wall_none_s0", seed=0)
    with pytest.raises(CheckpointError, match=r"variant none: .* of training seed 1, 2 .*: 0\)"):
        found(["none"], [0, 1, 2], tmp_path)


def test_variant_given_twice_is_refused(save):
    path = save("anything")
    with pytest.raises(CheckpointError, match="names these twice: a"):
        found([f"a={path}", f"a={path}"])


def test_missing_file_of_a_variant_is_named():
    with pytest.raises(CheckpointError, match=r"no checkpoint 'nowhere\.safetensors'"):
        found(["all=nowhere.safetensors"])


def test_checkpoint_of_another_task_or_robot_is_refused(save):
    class Faster(Wall):
        spec = Wall.spec.from_dict({**Wall.spec.to_dict(), "control_period": 0.05})

    checkpoint = open_checkpoint(save("wall_none"))
    check_fits(checkpoint, Wall())
    with pytest.raises(
        CheckpointError, match=r"its control_period is 0.1, the simulation's is 0.05"
    ):
        check_fits(checkpoint, Faster())


def test_name_that_contradicts_the_training_is_doubted(save):
    path = save("wall_none", ["random"])
    assert doubts([open_checkpoint(path, "none")]) == [
        "wall_none.safetensors is evaluated as variant 'none', but was trained as 'random'"
    ]
    assert doubts([open_checkpoint(path, "random"), open_checkpoint(path, "mine")]) == []


def test_description_tells_the_file_apart_without_its_place(save, tmp_path):
    one, other = open_checkpoint(save("a", seed=1)), open_checkpoint(save("b", seed=2))
    assert one.sha256 != other.sha256
    assert one.describe()["provenance_sha256"] != other.describe()["provenance_sha256"]
    assert str(tmp_path) not in str(one.describe())
