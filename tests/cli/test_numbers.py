"""Every command that answers from numbers alone, with each number in turn replaced by one that cannot be."""

import json
import math

import pytest
from click.testing import CliRunner

from voxeldose.cli import main

AT, BEFORE = "2024-05-08T10:00:00Z", "2024-05-05T12:00:00Z"
COMMANDS = [
    "plan mird --mass-g 200 --dose-gy 400 --lung-shunt 0.05 --lung-g 900 --device glass",
    "plan mird --mass-g 200 --activity-mbq 1700 --lung-shunt 0.05",
    "plan partition --tumor-g 200 --tn 5 --normal-g 1300 --unperfused-g 50 --lung-shunt 0.08 --lung-g 900 --activity-mbq 2500",
    "plan partition --tumor-g 200 --tn 5 --normal-g 1300 --lung-shunt 0.08 --tumor-gy 205 --normal-limit-gy 75 --lung-limit-gy 30",
    (
        f"plan vial --activity-mbq 1700 --at {AT} --calibrated-at {BEFORE} --device glass --residual-fraction 0.01 --tumor-ml 50 "
        "--sphere-bq-at-calibration 2500 --shelf-life-h 288 --vial-gbq 10 --most-above-percent 300 --lung-shunt 0.05"
    ),
    f"plan delivered --assay-mbq 3120 --assayed-at {BEFORE} --at {AT} --residual-mbq 45 --residual-at {AT} --lung-shunt 0.05",
    "plan bsa --height-m 1.7 --weight-kg 70 --tumor-part 0.2",
    (
        "lung-shunt planar --lung-anterior 8e4 --lung-posterior 1e5 --liver-anterior 9e5 --liver-posterior 7e5 "
        "--background-anterior 1e3 --background-posterior 1e3 --lung-pixels 900 --liver-pixels 800 --background-pixels 300 "
        "--activity-mbq 2000 --lung-mass-g 822 --earlier-gy 9"
    ),
    "lung-shunt spect --lung-counts 3e6 --liver-counts 6e7",
    "lung-shunt dose --lung-shunt 0.08 --activity-mbq 3000 --lung-mass-g 822 --earlier-gy 9",
    "tn --tumor 3.6e6 120 --normal 6e6 800",
    "tn --tumor-gy 300 40 --normal-gy 30 1000",
    (
        f"card --perfused-gy 420 --treated-fraction 0.1 --tumor-diameter-mm 40 --tn 3 --tumor 0.8 350 --sphere-bq-at-calibration 2500 "
        f"--calibrated-at {BEFORE} --at {AT}"
    ),
    (
        "radiobiology --dose-gy 205 --volume-ml 3 --set cremonesi-2008-tumor --geud-a -8 --control jnm-2020-glass-bed --slope 2 "
        "--clonogens 1e6 --source x"
    ),
    "radiobiology --dose-gy 75 --set cremonesi-2008-normal-liver --earlier-gy 40",
    "radiobiology --dose-gy 40 --set cremonesi-2008-normal-liver --complication quoted-2014-resin-lobar --m 0.3 --source x",
    "radiobiology --dose-gy 40 --td50-gy 52 --m 0.3 --source x",
    (
        "uncertainty mean --dose-gy 220 --diameter-mm 40 --voxel-mm 3 --fwhm-mm 6 --phi 0.7 --calibration 0.05 --statistics 0.03 "
        "--energy 0.01 --timing-h 0.5 --recovery-b-ml 3 --recovery-c 0.9"
    ),
]
IMPOSSIBLE = ("nan", "inf", "-inf", "-3", "0", "1e15", "1e-15")


def is_number(word):
    try:
        float(word)
    except ValueError:
        return False
    return True


def numbers_in(content):
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list):
        for item in content:
            yield from numbers_in(item)
    elif isinstance(content, float):
        yield content


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: " ".join(c.split()[:2]))
def test_a_number_that_cannot_be_is_refused_or_answered_with_numbers(command):
    words = [*command.split(), "--json"]
    content = json.loads(CliRunner().invoke(main, words).stdout)
    assert {"formula", "constants", "inputs", "sources"} <= content.keys()
    for at, word in enumerate(words):
        if not is_number(word):
            continue
        for wrong in IMPOSSIBLE:
            result = CliRunner().invoke(main, [*words[:at], wrong, *words[at + 1 :]])
            where = f"{words[at - 1]} {wrong}"
            assert result.exit_code in (0, 2, 3), f"{where}: {result.output}"
            assert "Traceback" not in result.output
            if result.exit_code:
                assert result.stdout == "", where
                assert result.stderr, where
            else:
                assert wrong not in ("nan",), where
                assert all(map(math.isfinite, numbers_in(json.loads(result.stdout)))), where
