"""Stands between the world `transform-records` and a user's Python module.

`etl-host build` puts this file beside `etl_host_target.json`, which names the module, and hands both to componentize-py.
Everything above the classes at the end runs once, when the component is built; what it leaves in memory is in the component.
"""

import sys

# The folders of the user are read, not written.
sys.dont_write_bytecode = True

OPENED = []
BUILDING = True


def _note_opened(event, arguments):
    if BUILDING and event == "open" and isinstance(arguments[0], str):
        OPENED.append(arguments[0])


# Before anything of the user's is imported, so that data files read by his modules are noted as sources too.
sys.addaudithook(_note_opened)

import ast
import asyncio
import dataclasses
import importlib
import inspect
import json
import logging
import random
import traceback

from componentize_py_types import Err
from etl_host_rows import Refusal, decode, described, encode
from wit_world import exports
from wit_world.exports import etl_host_stage
from wit_world.imports import host, types

HERE = "/0/"
TEXT_BYTES = 1 << 20

# What the standard library imports only when it is used; a component has no files to import from.
LATE = ["_strptime", "encodings.ascii", "encodings.cp1252", "encodings.idna", "encodings.latin_1", "encodings.utf_16", "encodings.utf_8_sig", "linecache"]


# --- Where it went wrong ---------------------------------------------------------------------------------------------


def is_users(path):
    """Tells whether a file is the user's: the folders are mounted as `/1`, `/2` …, this one as `/0`."""
    return path[:1] == "/" and path[1:].split("/", 1)[0].isdigit() and not path.startswith(HERE)


def shown(path):
    """A file as the user knows it: relative to the folder in which it was found."""
    return path[1:].split("/", 1)[1]


def place(error):
    """The user's innermost line, as `transforms.py:12, in to_euro`."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]
    if not frames:
        return ""
    frame = frames[-1]
    return f"{shown(frame.filename)}:{frame.lineno}, in {frame.name}"


def told(error):
    """An exception in Python's words, with the place."""
    text = str(error)
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    where = place(error)
    return f"{text} ({where})" if where else text


def code_of(error):
    """`ValueError` as `value_error`."""
    name = type(error).__name__
    text = "".join("_" + char.lower() if char.isupper() and index and not name[index - 1].isupper() else char.lower() for index, char in enumerate(name))
    return text.encode("ascii", "replace").decode()


def reason(error):
    """Code, message and field of what was raised."""
    if isinstance(error, Refusal):
        return error.code, str(error), error.field
    return code_of(error), told(error), None


# --- Functions -------------------------------------------------------------------------------------------------------


class Loop(asyncio.BaseEventLoop):
    """Runs what is ready and jumps to what is next: there is nothing outside to wait for, and the clock stands still."""

    def __init__(self):
        super().__init__()
        self._selector, self._jumped = self, 0.0

    def select(self, timeout):
        if timeout is None:
            raise RuntimeError("it awaits something that never happens: nothing outside the sandbox can be waited for")
        self._jumped += timeout
        return []

    def time(self):
        return self._jumped

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        pass


def settled(result):
    """What a function returned, awaited where it is to be."""
    if not (inspect.isawaitable(result) or inspect.isasyncgen(result)):
        return result

    async def all_of():
        if inspect.isasyncgen(result):
            return [item async for item in result]
        return await result

    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    loop = Loop()
    try:
        return loop.run_until_complete(all_of())
    finally:
        loop._selector = None
        loop._closed = True
        asyncio._set_running_loop(outer)


class Function:
    """One function of the module, or class with `run`."""

    def __init__(self, name, target):
        self.name, self.target = name, target

    @property
    def call(self):
        return self.target.run if inspect.isclass(self.target) or not callable(self.target) else self.target

    def parameters(self):
        """The keyword parameters by name, and whether it takes any others; `None` where Python cannot tell."""
        try:
            parameters = list(inspect.signature(self.call).parameters.values())
        except (ValueError, TypeError):
            return None, True
        # The first are the rows, behind `self` where it is a class.
        del parameters[: 2 if inspect.isclass(self.target) and not _is_bound(self.target) else 1]
        named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        return named, any(p.kind is p.VAR_KEYWORD for p in parameters)

    def summary(self):
        return (inspect.getdoc(self.target) or "").split("\n", 1)[0]

    def schema(self):
        named, more = self.parameters()
        if named is None:
            return ""
        properties, required = {}, []
        for name, parameter in named.items():
            properties[name] = {}
            if parameter.default is parameter.empty:
                required.append(name)
            elif isinstance(parameter.default, (str, int, float, bool, type(None), list, dict)):
                properties[name]["default"] = parameter.default
        try:
            return json.dumps({"type": "object", "properties": properties, "required": required, "additionalProperties": more})
        except (TypeError, ValueError):
            return ""

    def bind(self, kwargs, optional):
        """The function with its keyword arguments; every problem where they do not fit. `optional` are dropped where it does not take them."""
        problems = []
        named, more = self.parameters()
        if named is not None and not more:
            kwargs = {name: value for name, value in kwargs.items() if name in named or name not in optional}
            for name in [name for name in kwargs if name not in named]:
                del kwargs[name]
                takes = ", ".join(f"`{known}`" for known in named) or "none"
                problems.append((name, f"{self.name}() got an unexpected keyword argument '{name}'", f"it takes {takes}"))
        call = self.call
        if inspect.isclass(self.target):
            try:
                call = self.target().run
            except Exception as error:
                return None, [(None, f"class `{self.name}` cannot be made without arguments: {told(error)}", "give the parameters of `__init__` defaults")]
        if named is not None:
            for name, parameter in named.items():
                if parameter.default is parameter.empty and name not in kwargs:
                    problems.append((name, f"{self.name}() is missing a required keyword argument '{name}'", "give it in `kwargs`"))
        return (lambda rows: settled(call(rows, **kwargs))), problems


def _is_bound(target):
    return isinstance(inspect.getattr_static(target, "run", None), (classmethod, staticmethod))


def offered(module, named):
    """The functions of a module: its own public ones, classes with `run`, and those that the pipeline names."""
    functions = {}
    public = getattr(module, "__all__", None)
    for name, value in list(vars(module).items()):
        own = name in public if public is not None else not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
        if not own and name not in named:
            continue
        runs = callable(getattr(value, "run", None))
        if runs if inspect.isclass(value) else runs or callable(value):
            functions[name] = Function(name, value)
    return functions


# --- Building --------------------------------------------------------------------------------------------------------


def import_late(done):
    """Imports what the user's functions import only when they are called: a component has no files to import from."""
    for module in [module for name, module in list(sys.modules.items()) if name not in done]:
        done.add(module.__name__)
        path = getattr(module, "__file__", None)
        if not path or not is_users(path) or "/site-packages/" in path:
            continue
        try:
            with open(path, encoding="utf-8") as file:
                tree = ast.parse(file.read())
        except (OSError, SyntaxError, ValueError):
            continue
        package = module.__name__ if hasattr(module, "__path__") else module.__name__.rpartition(".")[0]
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                names = [base] + [base + ("" if base.endswith(".") else ".") + alias.name for alias in node.names]
            for name in names:
                try:
                    importlib.import_module(name, package)
                except BaseException:
                    # A name that is no module; or a module that is not there, which the function meets itself.
                    pass


def prepare():
    """Imports the module, and notes for `etl-host build` what it was made of."""
    with open(HERE + "etl_host_target.json", encoding="utf-8") as file:
        target = json.load(file)
    for name in LATE:
        importlib.import_module(name)
    del OPENED[:]
    manifest = {"files": [], "error": None}
    functions = {}
    try:
        module = importlib.import_module(target["module"])
        done = set()
        while any(name not in done for name in list(sys.modules)):
            before = len(done)
            import_late(done)
            done.update(sys.modules if len(done) == before else ())
        functions = offered(module, target["functions"])
    except BaseException as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]
        at = (frames[-1].filename, frames[-1].lineno) if frames else (None, 0)
        if isinstance(error, SyntaxError) and error.filename:
            at = (error.filename, error.lineno or 0)
        words = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
        manifest["error"] = {"message": words, "file": at[0], "line": at[1]}
    loaded = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    files = dict.fromkeys(path for path in loaded + OPENED if is_users(path) and "/__pycache__/" not in path)
    manifest["files"] = list(files)
    with open(HERE + "manifest.json", "w", encoding="utf-8") as file:
        json.dump(manifest, file)
    if manifest["error"]:
        raise SystemExit(1)
    return target["module"], functions


MODULE, FUNCTIONS = prepare()
BUILDING = False


# --- The contract ----------------------------------------------------------------------------------------------------


class HostLog(logging.Handler):
    """Hands what the module logs to the host."""

    def emit(self, record):
        level = host.Level.ERROR if record.levelno >= 40 else host.Level.WARN if record.levelno >= 30 else host.Level.INFO if record.levelno >= 20 else host.Level.DEBUG
        host.log(level, self.format(record))


class EtlHostStage(exports.EtlHostStage):
    def describe(self):
        functions = []
        for name, function in FUNCTIONS.items():
            summary, schema = function.summary(), function.schema()
            functions.append(types.Function(name, summary, schema, types.StateScope.BATCH_LOCAL))
            functions.append(types.Function(f"{name}@record", summary, schema, types.StateScope.STATELESS))
        return types.Descriptor(MODULE, "0", functions)


class Instance(etl_host_stage.Instance):
    """One configured function."""

    def __init__(self, call, by_record):
        self.call, self.by_record = call, by_record

    @classmethod
    def configure(cls, function, options):
        name, _, mode = function.partition("@")
        if name not in FUNCTIONS:
            raise Err([problem(None, f"the module `{MODULE}` has no function `{name}`", None)])
        kwargs = json.loads(options) if options else {}
        optional = kwargs.pop("@params", [])
        root = logging.getLogger()
        if not root.handlers:
            root.addHandler(HostLog())
        call, problems = FUNCTIONS[name].bind(kwargs, optional)
        if problems:
            raise Err([problem(*each) for each in problems])
        return cls(call, mode == "record"), types.Cardinality.EXPAND

    def process(self, input, out):
        random.seed(host.seed() ^ input.sequence() * 0x9E3779B97F4A7C15 ^ input.first_row() << 32)
        rows = decode(input.read())
        (self.each if self.by_record else self.all)(rows, Writer(out))

    def each(self, rows, writer):
        """One row after the other; one that raises is refused."""
        call = self.call
        for number, row in enumerate(rows):
            try:
                result = call(row)
                if type(result) is dict:
                    lines = (encode(result),)
                elif result is None:
                    continue
                elif isinstance(result, dict) or dataclasses.is_dataclass(result):
                    lines = (encode(result),)
                else:
                    lines = [encode(item) for item in several(result)]
            except BaseException as error:
                code, message, field = reason(error)
                writer.rejections.append(types.Rejection(number, code, message, field))
                continue
            for line in lines:
                writer.write(line, number)
        writer.close()

    def all(self, rows, writer):
        """The rows of a batch together; where it raises the host looks for the row on which it does."""
        numbers = {id(row): number for number, row in enumerate(rows)}
        kept = list(rows)
        index = number = None
        try:
            result = self.call(rows)
            if result is None:
                result = []
            elif isinstance(result, dict) or dataclasses.is_dataclass(result):
                result = [result]
            lines, origins = [], []
            for index, item in enumerate(several(result)):
                number = numbers.get(id(item))
                lines.append(encode(item))
                origins.append(number)
        except BaseException as error:
            code, message, field = reason(error)
            if isinstance(error, Refusal) and index is not None:
                message = f"record {index} of what it returned: {message}"
            raise Err(types.StageError(types.ErrorKind_Internal(), code, message, field, number if isinstance(error, Refusal) else None, None))
        finally:
            del kept
        known = None not in origins
        for line, origin in zip(lines, origins):
            writer.write(line, origin if known else None)
        writer.close()

    def finish(self, out):
        pass

    def snapshot(self):
        return b""

    @classmethod
    def restore(cls, function, options, state):
        return cls.configure(function, options)


def several(result):
    """What was returned as a sequence of rows."""
    if isinstance(result, (str, bytes, int, float)) or not hasattr(result, "__iter__"):
        raise Refusal("not_a_row", f"returned {described(result)} where a row, a dict, or a list of rows must be")
    return result


class Writer:
    """Gathers lines and hands them over by the megabyte; either all have an origin or none."""

    def __init__(self, out):
        self.out, self.lines, self.origins, self.bytes, self.rejections = out, [], [], 0, []

    def write(self, line, origin):
        self.lines.append(line)
        self.origins.append(origin)
        self.bytes += len(line)
        if self.bytes >= TEXT_BYTES:
            self.flush()

    def flush(self):
        if self.lines:
            origins = None if self.origins[0] is None else self.origins
            self.out.emit(b"\n".join(self.lines) + b"\n", origins)
        self.lines, self.origins, self.bytes = [], [], 0

    def close(self):
        self.flush()
        if self.rejections:
            self.out.reject(self.rejections)


def problem(field, message, help):
    return types.StageError(types.ErrorKind_Options(), "wrong_kwargs", message, field, None, help)
