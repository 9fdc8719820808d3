"""The codes of remarks: each is written as one, asked for by a test, and means one thing wherever it is made."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

from voxeldose.model.plausibility import published_rules

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "voxeldose"
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

#: Files whose remarks get their code from a variable, and the codes that it can hold.
BY_VARIABLE = {
    "dose/measure.py": {"energy-missing"},
    "dose/density.py": {"density-gap", "density-of-air"},
    "io/dicom/decay.py": {
        "pet-administration-day-by-decay-factor",
        "pet-beds-brought-to-first",
        "pet-frame-middle",
        "pet-frames-brought-to-first",
        "pet-instant-administration",
        "pet-instant-by-decay-factor",
        "pet-instant-of-vendor",
        "pet-instant-start",
        "pet-instant-stated",
    },
    "dose/recovery/checks.py": {"dvh-lesion-too-small", "dvh-resolution-too-wide", "dvh-recovery-too-low"},
    "jobs/compare_remarks.py": {"engines-differ", "calibrations-differ"},
    "jobs/replay.py": {"input-changed", "input-added", "input-left-out"},
}

#: Files that pass on a code made elsewhere.
PASSED_ON = {
    "model/plausibility.py": "the code of its rule",
    "io/dicom/structures.py": "what the contours of a region say, with its name",
    "io/results/content.py": "remarks of results, read back",
}

#: Codes that more than one file makes, and the one thing that they mean.
SHARED = {
    "goal-missed": "a plan, of compartments or of voxels, keeps a limit and so does not reach its goal",
    "lung-shunt-missing": "no lung shunt fraction was given, so 0 is taken",
    "microspheres-fixed": "no activity moves; of assessments and of plans, in the same sentence",
    "perfused-volume-from-case": "the mass of the perfused volume is that of the case's region, for a dose or for days of infusion",
    "shelf-life-missing": "no shelf life is known, for one vial or for the vials of many days",
    "slices-nearly-even": "slices of an image, or of a segmentation, lie near even places",
}

#: Codes of remarks that are codes of refusals too: the same fact, where one can go on and where one cannot.
ALSO_REFUSED = {
    "activity-outside-region": "a part of the activity outside can be accepted, much of it only by the user",
    "constants-differ": "two sets of constants meet: doses can still be compared, one number cannot be of both",
    "contours-in-one-plane": "the thickness of a region is that of others in its set, or not known",
    "lung-shunt-missing": "0 can be taken, but not where a limit of the lungs is to be kept",
    "result-regions-missing": "results can be compared without their regions, and not be added",
    "roi-outside-image": "counts of the part inside can stand for all of a lung, its mass cannot",
}


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


@cache
def nodes(path):
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


def texts(path):
    """Every text that stands by itself in a file."""
    return {node.value for node in nodes(path) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def calls(path):
    return [node for node in nodes(path) if isinstance(node, ast.Call)]


def remarks_made():
    """Code -> the files that make it; the files that take a code from elsewhere."""
    made, by_variable = defaultdict(set), set()
    for path in PACKAGE.rglob("*.py"):
        for call in calls(path):
            if not (isinstance(call.func, ast.Name) and call.func.id == "Remark"):
                continue
            first = call.args[0] if call.args else next(k.value for k in call.keywords if k.arg == "code")
            if isinstance(first, ast.Constant):
                made[first.value].add(name_of(path))
            else:
                by_variable.add(name_of(path))
    for file, codes in BY_VARIABLE.items():
        for code in codes:
            made[code].add(file)
    return dict(made), by_variable


def refusals_made():
    """The codes that errors are raised with."""
    return {
        value.value
        for path in PACKAGE.rglob("*.py")
        for call in calls(path)
        for keyword in call.keywords
        if keyword.arg == "code" and not (isinstance(call.func, ast.Name) and call.func.id == "Remark")
        for value in ast.walk(keyword.value)
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    }


def words_of_tests():
    """Every text that stands by itself in a test; not in the lists of codes."""
    files = (path for path in TESTS.rglob("*.py") if path.name not in {"test_remark_codes.py", "test_refusal_codes.py"})
    return {text for path in files for text in texts(path)}


MADE, FROM_A_VARIABLE = remarks_made()
RULES = {rule.code for rule in published_rules()}


def test_a_code_is_words_joined_by_hyphens():
    assert [code for code in (*MADE, *RULES) if not KEBAB.fullmatch(code)] == []


def test_every_code_is_asked_for_by_a_test():
    assert sorted({*MADE, *RULES} - words_of_tests()) == []


def test_codes_from_variables_are_listed_here():
    assert {*BY_VARIABLE, *PASSED_ON} == FROM_A_VARIABLE
    for file, codes in BY_VARIABLE.items():
        literal = {code for code, files in MADE.items() if file in files and code not in codes}
        joined = {text for text in texts(PACKAGE / file) if "-" in text and KEBAB.fullmatch(text)}
        assert joined - literal - refusals_made() == codes, file


def test_a_code_made_in_two_files_means_one_thing():
    assert {code for code, files in MADE.items() if len(files) > 1} == set(SHARED)


def test_a_code_that_is_remarked_and_refused_is_one_fact():
    assert set(MADE) & refusals_made() == set(ALSO_REFUSED)


def test_rules_of_plausibility_have_codes_of_their_own():
    assert len(RULES) == len(published_rules())
    assert RULES & (set(MADE) | refusals_made()) == set()
