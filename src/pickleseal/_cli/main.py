"""`main`: parse the command line, run one command, return the exit code.

A command is a module of this folder with `add_arguments(parser)` and `run(options, out)`. It is imported when it is the
one that was asked for, so that none pays for the others.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from .._version import __version__
from ..errors import MissingExtraError
from .output import EXIT_INTERNAL, EXIT_OK, EXIT_UNREADABLE, EXIT_USAGE, Output, OutputError, UsageError

__all__ = ["COMMANDS", "main", "run"]

# name: what it does, in one line. Its module is `cli/<name>.py`.
COMMANDS = {
    "inspect": "show what an artifact or stream says of itself, without running anything",
    "verify": "check all checksums of artifacts, and signatures and a policy if asked",
    "check": "tell whether artifacts would load with the code as it is now: the deploy gate",
    "scan": "catalog artifacts from their headers alone",
    "map": "find every place in a code base that pickles or unpickles",
    "convert": "wrap an existing pickle without running it, or take it out again",
    "seal": "add or remove signatures",
    "keygen": "make a key",
    "upgrade": "write artifacts anew at today's schema versions",
    "repair": "cut off the torn tail of a stream",
    "tour": "show what all this is about, in ten seconds",
}
SHELLS = ("bash", "zsh")
_EPILOG = """exit codes: 0 all well; 1 something was refused or found; 2 wrong usage; 3 something is unreadable,
corrupt or incomplete; 4 a defect of pickleseal. Over several files the highest counts."""


class _Formatter(argparse.HelpFormatter):
    """Wraps paragraphs to the terminal, and leaves examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip("\n").split("\n\n")
        return "\n\n".join(
            one if one.startswith(" ") else super(_Formatter, self)._fill_text(one, width, indent) for one in paragraphs
        )


class _PrintCompletion(argparse.Action):
    """Prints a script that completes all commands and options: static, so nothing of this runs while somebody types."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        try:
            import shtab
        except ImportError:
            way = "pip install 'pickleseal[completion]'"
            raise MissingExtraError("completion needs shtab", None, None, way) from None
        print(shtab.complete(_parser(None), values))
        parser.exit()


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pickleseal", description="Artifacts around pickles: inspect, verify, check.", epilog=_EPILOG
    )
    parser.add_argument("--version", action="version", version=f"pickleseal {__version__}")
    parser.add_argument(
        "--print-completion", choices=SHELLS, action=_PrintCompletion, help="print what completes commands in a shell"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        if chosen in (None, name):
            module = import_module(f".{name}", __package__)
            command = commands.add_parser(
                name,
                help=text,
                description=module.__doc__,
                epilog=_EPILOG,
                formatter_class=_Formatter,
            )
            module.add_arguments(command)
            _add_output_arguments(command)
            command.set_defaults(run=module.run)
        else:
            commands.add_parser(name, help=text)
    return parser


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    form = group.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_const", const="json", dest="form", help="one JSON object")
    form.add_argument("--jsonl", action="store_const", const="jsonl", dest="form", help="one JSON object a line")
    form.add_argument("-q", "--quiet", action="store_const", const="quiet", dest="form", help="only paths, one a line")
    group.add_argument("--no-color", action="store_true", help="no colours; so does NO_COLOR in the environment")
    group.add_argument("--no-progress", action="store_true", help="no progress bar")
    parser.set_defaults(form="text")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code. Arguments: those behind the program's name; None: `sys.argv`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # names may hold what the terminal's encoding does not know
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    try:
        options = _parser(chosen if chosen in COMMANDS else "").parse_args(arguments)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else EXIT_USAGE
    except MissingExtraError as exc:
        print(f"pickleseal: {exc}", file=sys.stderr)
        return EXIT_USAGE
    except BrokenPipeError:
        return _end_quietly()
    out = Output(options.command, options.form, not options.no_color, not options.no_progress)
    try:
        options.run(options, out)
        return out.finish()
    except UsageError as exc:
        out.complain(str(exc))
        return EXIT_USAGE
    except MissingExtraError as exc:
        out.complain(str(exc))
        return EXIT_USAGE
    except KeyboardInterrupt:
        out.complain("interrupted: incomplete")
        return EXIT_UNREADABLE
    except OutputError as exc:
        _end_quietly()
        if exc.is_pipe:  # whoever read our output has had enough: `| head`
            return out.exit_code
        out.complain(f"standard output: {exc}: incomplete")
        return EXIT_UNREADABLE
    except Exception as exc:
        import traceback

        traceback.print_exc()
        out.complain(f"a defect of pickleseal: {type(exc).__name__}; please report it with the lines above")
        return EXIT_INTERNAL


def _end_quietly() -> int:
    """Let what is left in the buffer go nowhere: whoever read our output has had enough."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_OK


def run() -> None:
    """Run the command line and leave: the entry point of the program."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who started us, as `>&-` does
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for as long as we run
    sys.exit(main())
