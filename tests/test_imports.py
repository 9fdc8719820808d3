"""The public face: its names are there, listed once, and cost nothing until they are used."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import voxeldose

HEAVY = (
    "numpy",
    "numba",
    "scipy",
    "SimpleITK",
    "pydicom",
    "highdicom",
    "matplotlib",
    "nibabel",
    "dask",
    "distributed",
    "pyarrow",
    "duckdb",
    "pandas",
    "xarray",
)
PACKAGES = (
    "dose",
    "dose.engines",
    "dose.uncertainty",
    "geometry",
    "io",
    "jobs",
    "model",
    "planning",
    "dose.lungs",
    "report",
)

#: What programs rely on (section "Python names" of the contract), and what a program needs besides.
PROMISED = """
read_ct read_pet read_spect read_image read_labels read_seg read_rtstruct read_rtdose write_nifti write_rtdose write_seg write_sr
Grid ActivityMap CtImage DoseMap Roi RoiSet Administration Case Assessment Dvh point_kernel voxelise Convolution LocalDeposition
assess Y90 TC99M read_activity read_density hu_to_density read_case_file run_case read_results Volume DecayMap DensityMap Engine
RayTransport RoiMetrics Threshold RunRecord what_if with_uncertainty VoxeldoseError InputError GeometryError QuantityError
"""

#: Names that were at the top before the packages had faces of their own; they stay, but for ``Requests``, now an object per reader.
EARLIER = """
Absolute ActivityMap Administered Administration Assessment Case ComparisonOptions Condition Convolution CountMap
CtImage DensityMap Derivation DoseMap Dvh GammaCriteria GeometryError Grid InputError Isocontour Limit LocalDeposition
LungMass Lungs PointKernel Product QuantityError Radionuclide RayTransport Recovery Registration Roi RoiSet
SegmentectomyFacts Spread TC99M Territory Tumor Views VoxelKernel VoxeldoseError Wish Y90 administration_from_assays
assess bed_gy bq_per_sphere_at compare_folders complication_by_set complication_probability complication_set
control_probability control_set counted_shunt derive eubed_gy eud_gy find_rigid fit_recovery fraction_delivered
gamma_index geud_gy linear_quadratic_set lung_dose lung_mass mean_dose_spread plan_body_surface plan_mird
plan_partition plan_partition_for plan_vial plan_voxels planar_shunt plot_dvh plot_slices point_kernel poisson_control
published_limits read_ct read_image read_labels read_pet read_point_kernel read_rtdose read_rtstruct read_seg
read_spect segmentectomy_card spect_shunt tumor_to_normal_of voxelise what_if with_uncertainty write_nifti write_pdf
write_report write_rtdose write_rtstruct write_seg write_sr y90_constants
"""


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()) if done.stdout.strip() else set()


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import voxeldose") == set()


def test_a_package_of_the_face_loads_nothing_heavy_either():
    assert loaded_after("\n".join(f"import voxeldose.{name}" for name in PACKAGES)) == set()


def test_help_loads_nothing_heavy():
    code = "from voxeldose.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    assert loaded_after(code) == set()


def test_the_check_for_heavy_modules_can_fail():
    assert "pydicom" in loaded_after("import voxeldose\nvoxeldose.read_ct\nimport pydicom")


@pytest.mark.parametrize("name", voxeldose.__all__)
def test_every_name_to_start_with_is_there(name):
    assert getattr(voxeldose, name) is not None


def test_the_face_has_the_packages_and_about_forty_names_among_them_those_promised():
    top = {package for package in PACKAGES if "." not in package}
    assert set(PROMISED.split()) | top <= set(voxeldose.__all__)
    assert len(voxeldose.__all__) - len(top) <= 50
    assert dir(voxeldose) == voxeldose.__all__


@pytest.mark.parametrize("name", EARLIER.split())
def test_a_name_that_was_at_the_top_stays(name):
    assert getattr(voxeldose, name) is not None


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_package_is_there(package):
    module = import_module(f"voxeldose.{package}")
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_opens_with_its_one_sentence(package):
    first = (import_module(f"voxeldose.{package}").__doc__ or "").splitlines()[0]
    assert first.endswith((".", ";"))
    assert len(first) < 120


def stub_of(package: str) -> dict[str, str]:
    """Name -> module of the stub that type checkers and the loader read; every name once."""
    folder = Path(voxeldose.__file__).parent / package.replace(".", "/")
    tree = ast.parse((folder / "__init__.pyi").read_text("utf-8"))
    pairs = [(a.name, i.module or "") for i in tree.body if isinstance(i, ast.ImportFrom) for a in i.names]
    assert all(a.name == a.asname for i in tree.body if isinstance(i, ast.ImportFrom) for a in i.names)
    assert len(pairs) == len({name for name, _ in pairs})
    return dict(pairs)


@pytest.mark.parametrize("package", ["", *PACKAGES])
def test_a_name_is_listed_once_and_public_in_its_module(package):
    for name, module in stub_of(package).items():
        if module:
            home = import_module(".".join(part for part in ("voxeldose", package, module) if part))
            assert name in home.__all__, f"{name} in {module}"


def test_a_name_at_the_top_is_a_public_name_of_its_package():
    for name, module in stub_of("").items():
        package, _, inside = module.partition(".")
        if inside:
            assert stub_of(package)[name] == inside, name


def test_type_checkers_are_told_of_every_earlier_name():
    stub = ast.parse((Path(voxeldose.__file__).parent / "__init__.pyi").read_text("utf-8"))
    more = {a.targets[0].id: ast.unparse(a.value) for a in stub.body if isinstance(a, ast.Assign)}
    for name, value in more.items():
        package, _, same = value.partition(".")
        assert same == name
        assert name in stub_of(package)
    assert set(EARLIER.split()) <= set(stub_of("")) | set(more)
    assert not set(stub_of("")) & set(more)


def test_a_function_stays_one_where_its_module_has_the_same_name():
    for package, name in (("dose", "assess"), ("jobs", "run_case"), ("jobs", "replay")):
        import_module(f"voxeldose.{package}.{name}")
        assert callable(getattr(import_module(f"voxeldose.{package}"), name))


def test_all_names_can_be_loaded_at_once():
    code = "import os\nos.environ['EAGER_IMPORT'] = '1'\nimport voxeldose\nvoxeldose.assess"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_the_version_has_three_parts():
    assert voxeldose.__version__.count(".") == 2


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        _ = voxeldose.nothing
    assert "assess" in dir(voxeldose)
