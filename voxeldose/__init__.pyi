# The public face: a name is listed once, here, and read by type checkers and by the lazy loader alike.
# The packages and the names to start with; below, names that are at home in a package and stay reachable here too.

from . import dose as dose
from . import geometry as geometry
from . import io as io
from . import jobs as jobs
from . import model as model
from . import planning as planning
from . import report as report
from .dose.assess import assess as assess
from .dose.assess import what_if as what_if
from .dose.density import hu_to_density as hu_to_density
from .dose.engines.base import Engine as Engine
from .dose.engines.convolution import Convolution as Convolution
from .dose.engines.local import LocalDeposition as LocalDeposition
from .dose.engines.rays.transport import RayTransport as RayTransport
from .dose.engines.voxelise import voxelise as voxelise
from .dose.uncertainty.run import with_uncertainty as with_uncertainty
from .errors import GeometryError as GeometryError
from .errors import InputError as InputError
from .errors import QuantityError as QuantityError
from .errors import VoxeldoseError as VoxeldoseError
from .io.config.case import read_case_file as read_case_file
from .io.dicom.ct import read_ct as read_ct
from .io.dicom.pet import read_pet as read_pet
from .io.dicom.rtdose import read_rtdose as read_rtdose
from .io.dicom.rtdose import write_rtdose as write_rtdose
from .io.dicom.seg import write_seg as write_seg
from .io.dicom.spect import read_spect as read_spect
from .io.dicom.sr import write_sr as write_sr
from .io.images import read_activity as read_activity
from .io.images import read_density as read_density
from .io.images import read_image as read_image
from .io.nifti import write_nifti as write_nifti
from .io.regions import read_labels as read_labels
from .io.regions import read_rtstruct as read_rtstruct
from .io.regions import read_seg as read_seg
from .io.results.folder import read_results as read_results
from .jobs.run_case import run_case as run_case
from .model.administration import Administration as Administration
from .model.assessment import Assessment as Assessment
from .model.assessment import RoiMetrics as RoiMetrics
from .model.assessment import RunRecord as RunRecord
from .model.assessment import Threshold as Threshold
from .model.case import Case as Case
from .model.dvh import Dvh as Dvh
from .model.grid import Grid as Grid
from .model.kernel import point_kernel as point_kernel
from .model.radionuclide import TC99M as TC99M
from .model.radionuclide import Y90 as Y90
from .model.roi import Roi as Roi
from .model.roi import RoiSet as RoiSet
from .model.volume import ActivityMap as ActivityMap
from .model.volume import CtImage as CtImage
from .model.volume import DecayMap as DecayMap
from .model.volume import DensityMap as DensityMap
from .model.volume import DoseMap as DoseMap
from .model.volume import Volume as Volume
from .report.page import write_report as write_report

__version__: str

bed_gy = dose.bed_gy
complication_by_set = dose.complication_by_set
complication_probability = dose.complication_probability
Condition = dose.Condition
control_probability = dose.control_probability
eubed_gy = dose.eubed_gy
eud_gy = dose.eud_gy
fit_recovery = dose.fit_recovery
gamma_index = dose.gamma_index
GammaCriteria = dose.GammaCriteria
geud_gy = dose.geud_gy
mean_dose_spread = dose.mean_dose_spread
poisson_control = dose.poisson_control
published_limits = dose.published_limits
Recovery = dose.Recovery
Spread = dose.Spread
tumor_to_normal_of = dose.tumor_to_normal_of
counted_shunt = dose.counted_shunt
lung_dose = dose.lung_dose
lung_mass = dose.lung_mass
spect_shunt = dose.spect_shunt
Derivation = geometry.Derivation
derive = geometry.derive
find_rigid = geometry.find_rigid
Isocontour = geometry.Isocontour
RigidFound = geometry.RigidFound
read_point_kernel = io.read_point_kernel
CtOptions = io.CtOptions
PetOptions = io.PetOptions
SpectOptions = io.SpectOptions
StoredAssessment = io.StoredAssessment
write_rtstruct = io.write_rtstruct
compare_folders = jobs.compare_folders
ComparisonOptions = jobs.ComparisonOptions
Absolute = model.Absolute
Administered = model.Administered
administration_from_assays = model.administration_from_assays
administration_of = model.administration_of
complication_set = model.complication_set
control_set = model.control_set
CountMap = model.CountMap
Limit = model.Limit
linear_quadratic_set = model.linear_quadratic_set
PointKernel = model.PointKernel
Radionuclide = model.Radionuclide
Registration = model.Registration
Remark = model.Remark
TreatedTerritory = model.TreatedTerritory
VoxelKernel = model.VoxelKernel
y90_constants = model.y90_constants
LungMass = model.LungMass
bq_per_sphere_at = planning.bq_per_sphere_at
fraction_delivered = planning.fraction_delivered
Lungs = planning.Lungs
plan_body_surface = planning.plan_body_surface
plan_mird = planning.plan_mird
plan_partition = planning.plan_partition
plan_partition_for = planning.plan_partition_for
plan_vial = planning.plan_vial
plan_voxels = planning.plan_voxels
planar_shunt = planning.planar_shunt
Product = planning.Product
segmentectomy_card = dose.segmentectomy_card
SegmentectomyFacts = dose.SegmentectomyFacts
Territory = planning.Territory
Tumor = planning.Tumor
Views = planning.Views
Wish = planning.Wish
plot_dvh = report.plot_dvh
plot_slices = report.plot_slices
write_pdf = report.write_pdf
