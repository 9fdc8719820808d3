"""Words to calls, answers to the terminal; exit codes. Nothing else prints.

One file per command. Nothing but click is imported until a command runs, so that ``voxeldose --help`` is instant.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

import click

from voxeldose import __version__
from voxeldose.cli.assess import assess
from voxeldose.cli.card import card
from voxeldose.cli.clean import clean
from voxeldose.cli.cohort import cohort
from voxeldose.cli.compare import compare
from voxeldose.cli.demo import demo
from voxeldose.cli.dvh import dvh
from voxeldose.cli.fetch import fetch
from voxeldose.cli.inspect import inspect
from voxeldose.cli.kernel import kernel
from voxeldose.cli.keys import keys, schema
from voxeldose.cli.lung_shunt import lung_shunt
from voxeldose.cli.options import with_numbers
from voxeldose.cli.plan import plan
from voxeldose.cli.radiobiology import radiobiology
from voxeldose.cli.replay import replay
from voxeldose.cli.send import send
from voxeldose.cli.tn import tn
from voxeldose.cli.uncertainty import uncertainty
from voxeldose.errors import VoxeldoseError

__all__ = ["main"]

#: Exit codes of the contract: 2 (wrong usage) is click's own.
REFUSED = 3
FAILED = 1

# Otherwise the interpreter traverses the compiler's hundred thousand objects several times at exit: 0.4 s.
atexit.register(gc.freeze)


class _Main(click.Group):
    """Turns refusals into exit code 3, and anything unexpected into exit code 1 and a file with the traceback."""

    def invoke(self, ctx: click.Context) -> object:
        _prepare_process()
        try:
            return super().invoke(ctx)
        except VoxeldoseError as error:
            _show_traceback(ctx)
            _stop(f"refused: {error}", REFUSED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except MemoryError:
            _show_traceback(ctx)
            _stop(
                "there is not enough memory for this; ask for larger voxels (--grid, --spacing-mm) or crop the images.",
                FAILED,
            )
        except BrokenPipeError:
            sys.stderr.close()
            raise click.exceptions.Exit(0) from None
        except OSError as error:
            _show_traceback(ctx)
            _stop(f"refused: {_cause(error)}", REFUSED)
        except Exception as error:  # noqa: BLE001 - the last resort: its traceback goes to a file
            _show_traceback(ctx)
            _stop(_fault_message(error), FAILED)


def _prepare_process() -> None:
    """What a command rests on: a working directory, and streams that show any file's name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):  # as an interrupt: what is half written is cleaned up on the way out
            if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_DFL:
                signal.signal(getattr(signal, name), _end)
    try:
        Path.cwd()
    except OSError as error:
        _stop(f"refused: the working directory cannot be used ({error.strerror}); change to another.", REFUSED)


def _end(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def _cause(error: OSError) -> str:
    """What the system refused, and of which file; a stream has no name."""
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror or error}."
    return (
        f"the answer could not be written ({error.strerror or error}); give standard output a place with room. Results "
        "whose folder is there are whole."
    )


def _show_traceback(ctx: click.Context) -> None:
    """With ``--debug``, of the error that is being handled."""
    if ctx.params.get("debug"):
        click.echo(traceback.format_exc(), err=True, nl=False)


def _fault_message(error: Exception) -> str:
    from voxeldose.jobs.faults import write_fault

    file = write_fault(error)
    where = f"; {file} says where, and holds nothing of the patient or your files" if file is not None else ""
    return (
        f"unexpected {type(error).__name__}: a fault of voxeldose, not of your files{where}. Please report it with the command "
        "that was run; voxeldose --debug shows the whole traceback."
    )


def _stop(message: str, code: int) -> NoReturn:
    click.echo(f"voxeldose: {message}", err=True)
    raise click.exceptions.Exit(code)


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="voxeldose")
@click.option("--debug", is_flag=True, help="Show the traceback of an error; it may name files.")
def main(debug: bool) -> None:
    """Voxel-based absorbed dose for Y-90 radioembolization.

    Research use; not for clinical decisions unless validated locally.
    """


#: Files to files, and answers before and beyond a treatment.
_JOBS = (assess, clean, cohort, compare, demo, dvh, fetch, inspect, kernel, keys, replay, schema, send)
_ANSWERS = (card, lung_shunt, plan, radiobiology, tn, uncertainty)
for _command in (*_JOBS, *_ANSWERS):
    main.add_command(with_numbers(_command))
