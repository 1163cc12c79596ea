"""Disturbances of pictures: what they promise, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.data.disturbances import (
    KINDS,
    Disturbance,
    DisturbanceError,
    Disturber,
    describe_kinds,
    parse_disturbances,
)

# A strength of each kind that a person sees.
VISIBLE = {
    "light": 0.8, "offset": 10.0, "warm": 1.0, "gamma": 1.3, "gradient": 0.25, "shadow": 0.25,
    "blur": 1.0, "noise": 4.0, "jpeg": 20, "shift": 3, "patch": 12.0, "beside": 12.0,
    "covered": 1.0, "dark": 0.9,
}  # fmt: skip


def picture(seed=0, size=(32, 48)):
    """Patches of colour with sharp edges."""
    coarse = np.random.default_rng(seed).integers(30, 200, (*[n // 8 for n in size], 3), np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)


def disturbed(name, strength, image, seed=0):
    return Disturber((Disturbance(name, strength),), seed)(image)


@pytest.mark.parametrize("name", KINDS)
def test_a_disturbance_keeps_shape_and_type_and_its_input(name):
    image = picture()
    before = image.copy()
    for pictures in (image, np.stack([image, image])):
        result = disturbed(name, VISIBLE[name], pictures)
        assert result.shape == pictures.shape
        assert result.dtype == np.uint8
        assert (result != pictures).mean() > 0.005
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "jpeg"])
def test_the_neutral_strength_changes_nothing(name):
    image = picture()
    np.testing.assert_array_equal(disturbed(name, KINDS[name].neutral, image), image)


@pytest.mark.parametrize("name", KINDS)
def test_both_ends_of_the_range_work(name):
    for strength in (KINDS[name].low, KINDS[name].high):
        assert disturbed(name, strength, picture()).shape == picture().shape


@pytest.mark.parametrize("name", KINDS)
def test_the_same_seed_gives_the_same_picture(name):
    image = picture()
    first, second = (disturbed(name, VISIBLE[name], image, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["gradient", "shadow", "shift", "patch", "noise", "dark"])
def test_another_seed_gives_another_picture(name):
    image = picture()
    results = [disturbed(name, VISIBLE[name], image, seed).tobytes() for seed in range(8)]
    assert len(set(results)) > 1


@pytest.mark.parametrize("name", KINDS)
def test_what_stands_still_stays_and_what_flickers_changes(name):
    disturber = Disturber((Disturbance(name, VISIBLE[name]),), 5)
    is_same = (disturber(picture()) == disturber(picture())).all()
    assert is_same != KINDS[name].flickers


def test_light_colour_and_offset_are_what_they_say():
    grey = np.full((4, 4, 3), 100, np.uint8)
    assert (disturbed("light", 0.8, grey) == 80).all()
    assert (disturbed("light", 4.0, grey) == 255).all()
    assert (disturbed("offset", -120.0, grey) == 0).all()
    assert disturbed("warm", 1.0, grey)[0, 0].tolist() == [110, 100, 80]
    assert (disturbed("gamma", 2.0, grey) == round(255 * (100 / 255) ** 2)).all()


def test_a_gradient_falls_to_its_depth_and_a_shadow_has_two_levels():
    white = np.full((64, 64, 3), 200, np.uint8)
    falling = disturbed("gradient", 0.5, white)
    assert falling.min() == pytest.approx(100, abs=2)
    assert falling.max() == pytest.approx(200, abs=2)
    shaded = disturbed("shadow", 0.25, white)
    ends = ((shaded > 196) | (shaded < 154)).mean()
    assert ends > 0.6
    assert shaded.min() == pytest.approx(150, abs=2)


def test_a_shift_moves_every_pixel_by_as_much():
    image = picture()
    moved = [disturbed("shift", 3, image, seed) for seed in range(20)]
    sides = [
        (image[:-3], lambda one: one[3:]), (image[3:], lambda one: one[:-3]),
        (image[:, :-3], lambda one: one[:, 3:]), (image[:, 3:], lambda one: one[:, :-3]),
    ]  # fmt: skip
    found = {k for one in moved for k, (part, cut) in enumerate(sides) if (cut(one) == part).all()}
    assert found == {0, 1, 2, 3}


def test_blur_keeps_the_mean_and_lowers_edges():
    image = picture()
    blurred = disturbed("blur", 1.0, image)
    assert blurred.mean() == pytest.approx(image.mean(), rel=0.02)
    edges = [np.abs(np.diff(one.astype(int), axis=1)).max() for one in (image, blurred)]
    assert edges[1] < 0.6 * edges[0]


def test_a_foreign_object_covers_only_its_size():
    image = picture()
    changed = (disturbed("patch", 12.0, image) != image).any(-1)
    rows, columns = np.nonzero(changed)
    assert 0.5 * 12 * 12 <= changed.sum() <= 12 * 12
    assert np.ptp(rows) < 12
    assert np.ptp(columns) < 12


def test_noise_has_its_deviation():
    grey = np.full((64, 64, 3), 100, np.uint8)
    assert disturbed("noise", 6.0, grey).std() == pytest.approx(6.0, rel=0.05)


def test_several_disturbances_are_read_and_applied_in_order():
    chain = parse_disturbances("light:0.5+offset:20")
    assert chain == (Disturbance("light", 0.5), Disturbance("offset", 20.0))
    assert (Disturber(chain)(np.full((2, 2, 3), 100, np.uint8)) == 70).all()
    assert "+".join(map(str, chain)) == "light:0.5+offset:20"
    assert (Disturber.of("light:0.5+offset:20")(np.full((2, 2, 3), 100, np.uint8)) == 70).all()


def test_none_disturbs_nothing():
    image = picture()
    assert Disturber(parse_disturbances("none"))(image) is image


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lamp:1", "lamp"), ("light", "light"), ("", "''"), ("light:0.8+", "''"),
        ("light:bright", "0 to 4"), ("light:-1", "0 to 4"), ("light:nan", "0 to 4"),
        ("shift:1.5", "a whole number from 0 to 32"), ("jpeg:0", "1 to 100"),
    ],
)  # fmt: skip
def test_what_is_not_accepted_is_named_with_what_is(text, said):
    with pytest.raises(DisturbanceError, match="accepted") as caught:
        parse_disturbances(text)
    assert said in str(caught.value)


def test_none_stands_alone():
    with pytest.raises(DisturbanceError, match=r"'none\+light:1': none stands alone, without \+"):
        parse_disturbances("none+light:1")


def test_every_kind_has_a_line_for_people():
    lines = describe_kinds()
    assert [line.partition(":")[0] for line in lines] == list(KINDS)
