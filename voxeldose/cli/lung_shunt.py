"""``voxeldose lung-shunt``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.case_input import read_case
from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import CONSTANTS, PATH, as_record, json_option, progress
from voxeldose.cli.terminal import print_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from voxeldose.planning.answers.lungs import LungQuestion, LungShuntAnswer
    from voxeldose.planning.planar_shunt import LabelImages, PlanarViews

__all__ = ["lung_shunt"]


@click.group(name="lung-shunt", short_help="Lung shunt fraction, and dose to the lungs.")
def lung_shunt() -> None:
    """Lung shunt fraction from planar views or SPECT(/CT), and the lungs' absorbed dose."""


@dataclass(frozen=True)
class LungFlags:
    """What every form asks of the lungs' dose."""

    activity_mbq: float | None
    lung_mass_g: float | None
    earlier_gy: tuple[float, ...]
    constants: str | None

    def question(self, constants: str | None = None) -> LungQuestion:
        """The same as the question of an answer; ``constants`` are a case's, where no flag names any."""
        from voxeldose.planning.answers.lungs import LungQuestion

        return LungQuestion(self.activity_mbq, self.lung_mass_g, self.earlier_gy, self.constants or constants)


def _lung_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of :class:`LungFlags`, which reach the command as its parameter ``lungs``, and ``--json``."""
    command = as_record(LungFlags, "lungs")(command)
    for option in (
        json_option,
        click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep, or the case's)."),
        click.option(
            "--earlier-gy", type=float, multiple=True, help="Lung dose of an earlier treatment; may be repeated."
        ),
        click.option("--lung-mass-g", type=float, help="Of both lungs (default: 1000 g by convention, or the CT's)."),
        click.option("--activity-mbq", type=float, help="In the patient at the infusion; gives the lung dose."),
    ):
        command = option(command)
    return command


#: What only the lungs' dose uses.
_DOSE_ALONE = (
    Idle("lung_mass_g", without="activity_mbq", why="a mass is for the lungs' dose"),
    Idle("constants", without="activity_mbq", why="constants are for the lungs' dose"),
)


def _views(counts: Mapping[str, float | None]) -> PlanarViews:
    """The counts given; refused where those of lung or liver are missing."""
    from voxeldose.planning.planar_shunt import PlanarViews, Views

    def views_of(region: str) -> Views | None:
        anterior, posterior = counts[f"{region}_anterior"], counts[f"{region}_posterior"]
        if anterior is None or posterior is None:
            return None
        return Views(anterior, posterior, counts[f"{region}_pixels"])

    lung, liver, background = views_of("lung"), views_of("liver"), views_of("background")
    if lung is None or liver is None:
        missing = [f"--{name.replace('_', '-')}" for name in _NEEDED if counts[name] is None]
        msg = f"give {', '.join(missing)}, or --image with --rois and --labels."
        raise click.UsageError(msg)
    if (counts["background_anterior"] is None) != (counts["background_posterior"] is None):
        msg = "give --background-anterior and --background-posterior, or neither."
        raise click.UsageError(msg)
    return PlanarViews(lung, liver, background)


_NEEDED = tuple(f"{region}_{view}" for region in ("lung", "liver") for view in ("anterior", "posterior"))


@dataclass(frozen=True)
class PlanarFiles:
    """Planar views and what is drawn on them, as options give them."""

    images: tuple[Path, ...]
    rois: Path | None
    posterior_rois: Path | None
    mirrored: bool
    labels: Path | None
    energy_window: int | None

    def label_images(self) -> LabelImages:
        """The label images with what each label is."""
        from voxeldose.io.config.labels import named_labels
        from voxeldose.planning.planar_shunt import LabelImages, planar_regions

        if self.rois is None or self.labels is None:
            msg = "--image needs --rois (a label image) and --labels (what its values are)."
            raise click.UsageError(msg)
        if self.mirrored == (self.posterior_rois is not None):
            msg = "say where the posterior regions lie: --posterior-rois FILE or --mirrored, one of them."
            raise click.UsageError(msg)
        regions = planar_regions(named_labels(self.labels), self.labels.name)
        return LabelImages(self.rois, self.posterior_rois, regions)


@lung_shunt.command(short_help="From counts or images of anterior and posterior views.")
@click.option("--lung-anterior", type=float, help="Counts of the lungs in the anterior view.")
@click.option("--lung-posterior", type=float, help="Counts of the lungs in the posterior view.")
@click.option("--liver-anterior", type=float, help="Counts of the liver in the anterior view.")
@click.option("--liver-posterior", type=float, help="Counts of the liver in the posterior view.")
@click.option("--background-anterior", type=float, help="Counts of a background region.")
@click.option("--background-posterior", type=float, help="Counts of a background region.")
@click.option("--lung-pixels", type=float, help="Size of the lung region, for the background.")
@click.option("--liver-pixels", type=float, help="Size of the liver region, for the background.")
@click.option("--background-pixels", type=float, help="Size of the background region.")
@click.option(
    "--image", "images", type=PATH, multiple=True, help="NM file of planar views, instead of counts; twice for two."
)
@click.option("--rois", type=PATH, help="Label image on the pixels of the anterior view.")
@click.option("--posterior-rois", type=PATH, help="Label image on the pixels of the posterior view.")
@click.option("--mirrored", is_flag=True, help="The posterior regions are the anterior ones, left and right swapped.")
@click.option("--labels", type=PATH, help='JSON: label value -> {"name": …, "role": "lung" or "liver"}; "background".')
@click.option("--energy-window", type=int, help="Which one, counted from 1, where a file holds several.")
@_lung_options
@as_record(PlanarFiles, "files")
@refuse_idle(
    Idle("rois posterior_rois mirrored labels energy_window", without="images", why="they say how images are counted"),
    Idle(
        "background_anterior background_posterior lung_pixels liver_pixels background_pixels",
        beside="images",
        why="regions of the label image decide",
    ),
    Idle(
        "lung_pixels liver_pixels background_pixels",
        without="background_anterior background_posterior",
        why="sizes of regions are for the background",
    ),
    *_DOSE_ALONE,
)
def planar(files: PlanarFiles, lungs: LungFlags, as_json: bool, **counts: float | None) -> None:
    """From the counts of anterior and posterior views, or from the views themselves."""
    from voxeldose.planning.answers.lungs import answer_lung_shunt
    from voxeldose.planning.planar_shunt import count_planar_images, planar_shunt

    if files.images and any(counts[name] is not None for name in _NEEDED):
        msg = "give counts or --image, not both."
        raise click.UsageError(msg)
    if files.images:
        views = count_planar_images(files.images, files.label_images(), energy_window=files.energy_window)
    else:
        views = _views(counts)
    shunt = planar_shunt(views.lung, views.liver, views.background)
    _print_shunt(answer_lung_shunt(shunt, lungs.question()), lungs, as_json=as_json)


@dataclass(frozen=True)
class SpectFlags:
    """Counts found elsewhere, and what is left out."""

    lung_counts: float | None
    liver_counts: float | None
    dome_margin_mm: float | None
    lung_volume_ml: float | None


@lung_shunt.command(short_help="From a reconstructed image, or from its counts.")
@click.argument("case", required=False, type=PATH)
@click.option("--activity", type=PATH, help="SPECT, without a case: DICOM folder or file, NIfTI, NRRD, MHA.")
@click.option("--rois", type=PATH, multiple=True, help="Regions with the roles lung and liver.")
@click.option("--labels", type=PATH, help='JSON: label value or name -> {"name": …, "role": …}.')
@click.option("--ct", type=PATH, help="CT for the lungs' density and mass.")
@click.option("--quantity", type=click.Choice(["bq_per_ml", "bq", "counts"]), help="If the image does not say.")
@click.option("--lung-counts", type=float, help="Or counts of all lung, found elsewhere, with --liver-counts.")
@click.option("--liver-counts", type=float, help="Counts of all liver, tumors included.")
@click.option(
    "--dome-margin-mm", type=float, help="Lung this near to the liver is left out (default 0, or the case's)."
)
@click.option(
    "--lung-volume-ml", type=float, help="Of both lungs, whole: scales the counts of lungs that the image cuts."
)
@click.option("--quiet", is_flag=True, help="No progress.")
@_lung_options
@as_record(SpectFlags, "flags")
@refuse_idle(
    *(replace(rule, without=f"{rule.without} case ct") for rule in _DOSE_ALONE),
    Idle("lung_volume_ml", without="case activity", why="a volume scales the counts of an image"),
)
def spect(case: Path | None, flags: SpectFlags, lungs: LungFlags, quiet: bool, as_json: bool, **files: Any) -> None:
    """From a reconstructed image of a CASE or of files, or from its counts; both lungs must lie in its field of view."""
    from voxeldose.dose.lungs.shunt import counted_shunt
    from voxeldose.planning.answers.lungs import answer_lung_shunt

    has_details = any(files[key] is not None for key in ("labels", "ct", "quantity"))
    is_counted = flags.lung_counts is not None or flags.liver_counts is not None
    if sum((case is not None, files["activity"] is not None or bool(files["rois"]), is_counted)) != 1:
        msg = "give a CASE, or --activity with --rois, or --lung-counts with --liver-counts: one of them."
        raise click.UsageError(msg)
    if is_counted:
        if flags.lung_counts is None or flags.liver_counts is None or has_details or flags.dome_margin_mm is not None:
            msg = "--lung-counts and --liver-counts belong together, without images."
            raise click.UsageError(msg)
        answer = answer_lung_shunt(counted_shunt(flags.lung_counts, flags.liver_counts), lungs.question())
    elif case is not None:
        if has_details:
            msg = "a CASE names its own labels, CT and quantity."
            raise click.UsageError(msg)
        answer = _of_case(case, lungs, flags, quiet)
    elif files["activity"] is None or not files["rois"]:
        msg = "--activity and --rois belong together."
        raise click.UsageError(msg)
    else:
        with progress(quiet) as report_progress:
            report_progress("loading libraries")
            from voxeldose.model.lungs import LungSettings
            from voxeldose.planning.answers.lungs import SpectFiles, answer_lung_shunt_of_files

            settings = LungSettings(volume_ml=flags.lung_volume_ml, dome_margin_mm=flags.dome_margin_mm or 0.0)
            answer = answer_lung_shunt_of_files(
                SpectFiles(**files), lungs.question(), lungs=settings, progress=report_progress
            )
    _print_shunt(answer, lungs, as_json=as_json)


def _of_case(case: Path, lungs: LungFlags, flags: SpectFlags, quiet: bool) -> LungShuntAnswer:
    """By a case's image; what no flag gives is the case's: activity, constants, and its table of the lungs."""
    config = read_case(case, {})
    with progress(quiet) as report_progress:
        report_progress("loading libraries")
        from voxeldose.dose.density import hu_to_density
        from voxeldose.jobs.open_case import open_case
        from voxeldose.planning.answers.lungs import LungImage, answer_lung_shunt_of_image

        opened = open_case(config, is_calibrated=False, progress=report_progress).case
        report_progress("counting")
        density = hu_to_density(opened.ct) if opened.ct is not None else None
        image = LungImage(opened.activity, opened.rois, density, opened.administration)
        question, settings = lungs.question(config.dose.constants).of_case(
            opened.lungs, volume_ml=flags.lung_volume_ml, dome_margin_mm=flags.dome_margin_mm
        )
        return answer_lung_shunt_of_image(image, question, lungs=settings)


@lung_shunt.command(short_help="Lung dose by a known shunt, earlier treatments added.")
@click.option("--lung-shunt", "fraction", type=float, required=True, help="Lung shunt fraction, 0 to 1.")
@_lung_options
def dose(fraction: float, lungs: LungFlags, as_json: bool) -> None:
    """Absorbed dose to the lungs by a shunt fraction that is known, with earlier treatments added."""
    if lungs.activity_mbq is None:
        msg = "--activity-mbq is needed, the activity in the patient at the infusion."
        raise click.UsageError(msg)
    from voxeldose.planning.answers.lungs import answer_lung_dose

    print_answer(answer_lung_dose(fraction, lungs.question()), as_json=as_json)


def _print_shunt(answer: LungShuntAnswer, lungs: LungFlags, *, as_json: bool) -> None:
    if answer.dose is None and lungs.earlier_gy:
        msg = "--earlier-gy needs --activity-mbq, the activity whose lung dose it is added to."
        raise click.UsageError(msg)
    print_answer(answer, as_json=as_json)
