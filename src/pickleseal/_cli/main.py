"""`main`: parse the command line, run one command, return the exit code.

A command is a module of this folder with `add_arguments(parser)` and `run(options, out)`. Its docstring is its help
text. Only the module of the chosen command is imported, so that no command pays for the others.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from .._version import __version__
from ..errors import MissingExtraError, one_line
from .output import EXIT_INTERNAL, EXIT_OK, EXIT_UNREADABLE, EXIT_USAGE, Output, OutputError, UsageError

# Name of the command, which is also the name of its module: what the command does, in one line.
COMMANDS = {
    "inspect": "show what an artifact or stream says about itself, without running anything",
    "verify": "check all checksums of artifacts, and signatures and a policy if asked",
    "check": "check before a deploy whether artifacts would load with the code as it is now",
    "trust": "print the trust list that artifacts ask for, from their headers alone",
    "scan": "make a catalog of artifacts from their headers alone",
    "map": "find every place in a code base that pickles or unpickles",
    "convert": "wrap an existing pickle without running it, or take it out again",
    "seal": "add or remove signatures",
    "keygen": "make a key",
    "upgrade": "rewrite artifacts at today's schema versions",
    "repair": "cut off the torn tail of a stream",
    "clean": "remove temporary files and uploads that killed processes left",
    "tour": "show in ten seconds what pickleseal does",
}
_SHELLS = ("bash", "zsh")
_EPILOG = """exit codes: 0 all well; 1 something was refused or found; 2 wrong usage; 3 something is unreadable,
corrupt or incomplete; 4 an internal error of pickleseal. Over several files, the highest code counts."""


class _Formatter(argparse.HelpFormatter):
    """Wraps paragraphs to the terminal, and leaves examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip("\n").split("\n\n")
        return "\n\n".join(
            one if one.startswith(" ") else super(_Formatter, self)._fill_text(one, width, indent) for one in paragraphs
        )


class _PrintCompletion(argparse.Action):
    """Prints a static script that completes all commands and options."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        try:
            import shtab
        except ImportError:
            hint = "pip install 'pickleseal[completion]'"
            raise MissingExtraError("completion needs shtab", None, None, hint) from None
        print(shtab.complete(_parser(None), values))
        parser.exit()


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    """Return the parser, with the arguments of the chosen command; None: of all commands."""
    parser = argparse.ArgumentParser(
        prog="pickleseal",
        description="Inspect, verify, check and convert artifacts, which are pickles with a header.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"pickleseal {__version__}")
    parser.add_argument(
        "--print-completion", choices=_SHELLS, action=_PrintCompletion, help="print a completion script for a shell"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        if chosen in (None, name):
            module = import_module(f".{name}", __package__)
            command = commands.add_parser(
                name, help=text, description=module.__doc__, epilog=_EPILOG, formatter_class=_Formatter
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
    form.add_argument("--json", action="store_const", const="json", dest="form", help="print one JSON object")
    form.add_argument("--jsonl", action="store_const", const="jsonl", dest="form", help="print one JSON object a line")
    form.add_argument(
        "-q", "--quiet", action="store_const", const="quiet", dest="form", help="print only paths, one a line"
    )
    group.add_argument("--no-color", action="store_true", help="print no colours, as with NO_COLOR in the environment")
    group.add_argument("--no-progress", action="store_true", help="show no progress bar")
    parser.set_defaults(form="text")


_NAMES = {"form_of": "--as", "imports": "--import"}  # of attributes that have another name than their option


def _options(options: argparse.Namespace) -> set[str]:
    """Return the options that the chosen command has, as they are typed."""
    return {_NAMES.get(name, f"--{name.replace('_', '-')}") for name in vars(options)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code.

    Args:
        argv: the arguments after the name of the program; None: those of `sys.argv`.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # names may have characters that the encoding of the terminal lacks
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    try:
        options = _parser(chosen if chosen in COMMANDS else "").parse_args(arguments)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else EXIT_USAGE
    except MissingExtraError as exc:
        print(f"pickleseal: {one_line(exc)}", file=sys.stderr)
        return EXIT_USAGE
    except BrokenPipeError:
        return _discard_output()
    out = Output(options.command, options.form, not options.no_color, not options.no_progress, _options(options))
    try:
        options.run(options, out)
        return out.finish()
    except (UsageError, MissingExtraError) as exc:
        out.message(one_line(exc))
        return EXIT_USAGE
    except KeyboardInterrupt:
        out.message("interrupted: incomplete")
        return EXIT_UNREADABLE
    except OutputError as exc:
        _discard_output()
        if exc.is_pipe:  # the reader of our output has ended, as in `| head`
            return out.exit_code
        out.message(f"standard output: {exc}: incomplete")
        return EXIT_UNREADABLE
    except Exception as exc:
        import traceback

        traceback.print_exc()
        out.message(f"internal error ({type(exc).__name__}); please report it with the lines above")
        return EXIT_INTERNAL


def _discard_output() -> int:
    """Send what is left in the buffer nowhere, as standard output can't be written to."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_OK


def run() -> None:
    """Run the command line and exit: the entry point of the program."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # the parent process closed it, as `>&-` does
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - open as long as the process runs
    sys.exit(main())
