"""Words to objects, results to files and terminal; exit codes. The only room that prints.

One file a command. Nothing but click is imported until a command runs, so that ``voxeldose --help`` is instant.
"""

from __future__ import annotations

import atexit
import gc
import sys
from typing import NoReturn

import click

from voxeldose._version import __version__
from voxeldose.cli.assess import assess
from voxeldose.cli.card import card
from voxeldose.cli.cohort import cohort
from voxeldose.cli.compare import compare
from voxeldose.cli.demo import demo
from voxeldose.cli.dvh import dvh
from voxeldose.cli.inspect import inspect
from voxeldose.cli.kernel import kernel
from voxeldose.cli.keys import keys, schema
from voxeldose.cli.lung_shunt import lung_shunt
from voxeldose.cli.options import with_numbers
from voxeldose.cli.plan import plan
from voxeldose.cli.radiobiology import radiobiology
from voxeldose.cli.replay import replay
from voxeldose.cli.tn import tn
from voxeldose.cli.uncertainty import uncertainty
from voxeldose.errors import VoxeldoseError

__all__ = ["main"]

#: Exit codes of the contract: 2 (wrong usage) is click's own.
REFUSED = 3
FAILED = 1

# The interpreter would else look through the compiler's hundred thousand objects several times before it ends: 0.4 s.
atexit.register(gc.freeze)


class _Refusing(click.Group):
    """Turns refusals into exit code 3, and anything unforeseen into one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except VoxeldoseError as error:
            _stop(f"refused: {error}", REFUSED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except MemoryError:
            _stop(
                "there is not enough memory for this; ask for larger voxels (--grid, --spacing-mm) or crop the images.",
                FAILED,
            )
        except BrokenPipeError:
            sys.stderr.close()
            raise click.exceptions.Exit(0) from None
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            why = f"{type(error).__name__}: {error}"
            _stop(f"unforeseen fault ({why}). This is a defect; voxeldose --debug shows where.", FAILED)


def _stop(message: str, code: int) -> NoReturn:
    click.echo(f"voxeldose: {message}", err=True)
    raise click.exceptions.Exit(code)


@click.group(cls=_Refusing, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="voxeldose")
@click.option("--debug", is_flag=True, hidden=True, help="Show the traceback of an unforeseen fault.")
def main(debug: bool) -> None:
    """Voxel-based absorbed dose for Y-90 radioembolization.

    Research use; not for clinical decisions unless validated locally.
    """


_COMMANDS = (
    assess,
    card,
    cohort,
    compare,
    demo,
    dvh,
    inspect,
    kernel,
    keys,
    lung_shunt,
    plan,
    radiobiology,
    replay,
    schema,
    tn,
    uncertainty,
)
for _command in _COMMANDS:
    main.add_command(with_numbers(_command))
